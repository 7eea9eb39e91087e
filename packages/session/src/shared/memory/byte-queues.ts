// Queues of bytes in memory that all threads see: what the kernel did not take of a session's sends, and messages for a session.
//
// The bytes lie in blocks of one size, which all queues share. `words` has the count of the blocks in use, and two words for each
// block: its owner (0: free) and the next block of its queue. A queue itself is QUEUE_WORDS words, which lie with their owner:
//
//    First ----> block ----> block ----> block <---- Last
//                   ^ Start: where the oldest byte is        Length: how many bytes there are
//
// A block is taken by a compare-and-swap of its owner from 0, and given back by a store of 0. There is no free list and no lock, so
// no thread can end in the middle of a change that others depend on. The count grows after a block is taken, and falls before it is
// given back: it is never too high, even when a thread ends between the two.
// A queue is used by one thread at a time: its owner's lock is held. When a thread ends while it holds that lock, the queue is lost.
// reclaim() then gives back all blocks of the owner, also those that no queue has yet.

import assert from 'node:assert';
import { byteOffsetOf, lengthOf, memoryOf } from '@overlapped/iocp-native/internal';

/** The words of a queue. Zeros are an empty one. */
export const QUEUE_WORDS = 4;

const Queue = {
  /** A block's index plus one; 0 when the queue is empty. */
  First: 0,
  Last: 1,
  Start: 2,
  Length: 3,
} as const;

/** At most the number of blocks that are in use. */
const USED = 0;
const HEADER = 1;

/** Where the queues and blocks of a server lie. */
export interface QueueMemory {
  /** The words of the blocks: `blockWords()` of them from `at`. */
  readonly words: Int32Array;
  readonly at: number;
  /** The words that the queues lie in. */
  readonly queues: Int32Array;
  /** The blocks themselves. */
  readonly bytes: Uint8Array;
  /** Bytes of a block. */
  readonly blockSize: number;
}

/** Words that `count` blocks need beside their bytes. */
export function blockWords(count: number): number {
  return HEADER + 2 * count;
}

export class ByteQueues {
  readonly #words: Int32Array;
  readonly #queues: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #blockSize: number;
  readonly #count: number;
  readonly #used: number;
  readonly #owners: number;
  readonly #nexts: number;
  /** Where this thread looks for a free block. */
  #hint = 0;

  constructor({ words, at, queues, bytes, blockSize }: QueueMemory) {
    this.#words = words;
    this.#queues = queues;
    this.#bytes = bytes;
    this.#blockSize = blockSize;
    this.#count = Math.floor(bytes.length / blockSize);
    this.#used = at + USED;
    this.#owners = at + HEADER;
    this.#nexts = at + HEADER + this.#count;
  }

  /** Blocks that are in use. It may be too low while a thread takes one or gives one back, and for each thread that ended then. */
  get used(): number {
    return Atomics.load(this.#words, this.#used);
  }

  /** Bytes in a queue. Needs no lock. */
  lengthOf(queue: number): number {
    return Atomics.load(this.#queues, queue + Queue.Length);
  }

  /**
   * Appends all of `data` to a queue. False, and nothing is appended, when there are not enough blocks, or when the memory of
   * `data` has been taken away.
   * @param owner not 0; the blocks are reclaimed by this number
   */
  append(queue: number, owner: number, data: Uint8Array): boolean {
    assert(owner !== 0, 'blocks without an owner are free ones');
    const queues = this.#queues;
    const length = lengthOf(data);
    if (length === 0) return true;
    const size = this.#blockSize;
    const last = queues[queue + Queue.Last]! - 1;
    // All blocks before the last one are full to their ends.
    const end = last < 0 ? 0 : (queues[queue + Queue.Start]! + queues[queue + Queue.Length]!) % size;
    const room = end === 0 ? 0 : size - end;
    const first = length <= room ? -1 : this.#takeChain(Math.ceil((length - room) / size), owner);
    if (length > room && first < 0) return false;
    if (!this.#copy(data, length, last, end, first)) {
      this.#giveChain(first);
      return false;
    }
    if (first >= 0) {
      if (last < 0) queues[queue + Queue.First] = first + 1;
      else this.#words[this.#nexts + last] = first + 1;
      queues[queue + Queue.Last] = this.#lastOf(first) + 1;
    }
    Atomics.store(queues, queue + Queue.Length, queues[queue + Queue.Length]! + length);
    return true;
  }

  /** Where the oldest byte of a queue lies in `bytes`. The queue must have one. */
  headOffset(queue: number): number {
    const first = this.#queues[queue + Queue.First]!;
    assert(first > 0, 'an empty queue has no head');
    return (first - 1) * this.#blockSize + this.#queues[queue + Queue.Start]!;
  }

  /** How many bytes lie there in one piece; 0 for an empty queue. */
  headLength(queue: number): number {
    return Math.min(this.#queues[queue + Queue.Length]!, this.#blockSize - this.#queues[queue + Queue.Start]!);
  }

  /** Removes the oldest `length` bytes, and gives the blocks back that had no others. */
  consume(queue: number, length: number): void {
    const queues = this.#queues;
    const before = queues[queue + Queue.Length]!;
    assert(length >= 0 && length <= before, `${length} of ${before} bytes`);
    let start = queues[queue + Queue.Start]! + length;
    let first = queues[queue + Queue.First]!;
    const left = before - length;
    while (first > 0 && (start >= this.#blockSize || left === 0)) {
      const next = this.#words[this.#nexts + first - 1]!;
      this.#give(first - 1);
      first = next;
      start -= this.#blockSize;
    }
    queues[queue + Queue.First] = first;
    if (first === 0) queues[queue + Queue.Last] = 0;
    queues[queue + Queue.Start] = first === 0 ? 0 : start;
    Atomics.store(queues, queue + Queue.Length, left);
  }

  /** Removes the oldest bytes, as many as `into` has, and copies them to it. */
  read(queue: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const length = Math.min(this.headLength(queue), into.length - done);
      const from = this.headOffset(queue);
      into.set(this.#bytes.subarray(from, from + length), done);
      this.consume(queue, length);
      done += length;
    }
  }

  /** Removes all bytes of a queue. */
  clear(queue: number): void {
    this.consume(queue, this.#queues[queue + Queue.Length]!);
  }

  /**
   * Gives back all blocks of an owner, after the end of a thread that held its lock. The owner's queues must then be zeroed, and
   * no thread may append to them meanwhile.
   */
  reclaim(owner: number): void {
    for (let block = 0; block < this.#count; block++) {
      if (Atomics.load(this.#words, this.#owners + block) === owner) this.#give(block);
    }
  }

  /** Copies to the end of the last block, and on into the chain. */
  #copy(data: Uint8Array, length: number, last: number, end: number, first: number): boolean {
    const size = this.#blockSize;
    let done = 0;
    let to = end === 0 ? first * size : last * size + end;
    let room = size - end;
    for (let next = end === 0 ? this.#nextOf(first) : first; ; next = this.#nextOf(next)) {
      const piece = Math.min(length - done, room);
      try {
        // The caller's array is read by its internal slots. Its memory may have been detached, or have shrunk.
        this.#bytes.set(new Uint8Array(memoryOf(data), byteOffsetOf(data) + done, piece), to);
      } catch {
        return false;
      }
      done += piece;
      if (done === length) return true;
      to = next * size;
      room = size;
    }
  }

  /** The first of `count` blocks, linked; -1 when there are not so many. */
  #takeChain(count: number, owner: number): number {
    let first = -1;
    for (let i = 0; i < count; i++) {
      const block = this.#take(owner);
      if (block < 0) {
        this.#giveChain(first);
        return -1;
      }
      this.#words[this.#nexts + block] = first + 1;
      first = block;
    }
    return first;
  }

  #giveChain(first: number): void {
    for (let block = first; block >= 0; ) {
      const next = this.#nextOf(block);
      this.#give(block);
      block = next;
    }
  }

  #take(owner: number): number {
    const words = this.#words;
    if (Atomics.load(words, this.#used) >= this.#count) return -1;
    for (let looked = 0, block = this.#hint; looked < this.#count; looked++, block++) {
      if (block >= this.#count) block = 0;
      if (Atomics.compareExchange(words, this.#owners + block, 0, owner) !== 0) continue;
      Atomics.add(words, this.#used, 1);
      this.#hint = block + 1;
      return block;
    }
    return -1;
  }

  #give(block: number): void {
    Atomics.sub(this.#words, this.#used, 1);
    Atomics.store(this.#words, this.#owners + block, 0);
  }

  /** -1 for the last one. */
  #nextOf(block: number): number {
    return this.#words[this.#nexts + block]! - 1;
  }

  #lastOf(block: number): number {
    let last = block;
    for (let next = this.#nextOf(last); next >= 0; next = this.#nextOf(last)) last = next;
    return last;
  }
}
