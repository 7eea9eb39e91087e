// Queues of bytes in memory that all threads see: bytes of sends that the kernel did not take, and messages for a session.
//
// The bytes lie in blocks of one size, which all queues share (blocks.ts). A queue itself is QUEUE_WORDS words, which lie with
// their owner:
//
//    First ----> block ----> block ----> block <---- Last
//                   ^ Start: where the oldest byte is        Length: how many bytes there are
//
// A queue is used by one thread at a time: its owner's lock is held. When a thread ends while it holds that lock, the queue is lost.
// Blocks.reclaim() then gives back all blocks of the owner, also those that no queue has yet.

import assert from 'node:assert';
import { byteOffsetOf, lengthOf, memoryOf } from '@overlapped/iocp-native/internal';
import { type BlockMemory, Blocks } from './blocks.js';

/** The words of a queue. Zeros are an empty one. */
export const QUEUE_WORDS = 4;

const Queue = {
  /** A block's index plus one; 0 when the queue is empty. */
  First: 0,
  Last: 1,
  Start: 2,
  Length: 3,
} as const;

/** Where the queues and blocks of a server lie. */
export interface QueueMemory extends BlockMemory {
  /** The words that the queues lie in. */
  readonly queues: Int32Array;
}

export class ByteQueues {
  readonly blocks: Blocks;
  readonly #queues: Int32Array;

  constructor(memory: QueueMemory) {
    this.blocks = new Blocks(memory);
    this.#queues = memory.queues;
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
    const size = this.blocks.size;
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
      else this.blocks.link(last, first);
      queues[queue + Queue.Last] = this.#lastOf(first) + 1;
    }
    Atomics.store(queues, queue + Queue.Length, queues[queue + Queue.Length]! + length);
    return true;
  }

  /** Where the oldest byte of a queue lies in `bytes`. The queue must have one. */
  headOffset(queue: number): number {
    const first = this.#queues[queue + Queue.First]!;
    assert(first > 0, 'an empty queue has no head');
    return (first - 1) * this.blocks.size + this.#queues[queue + Queue.Start]!;
  }

  /** How many bytes lie there in one piece; 0 for an empty queue. */
  headLength(queue: number): number {
    return Math.min(this.#queues[queue + Queue.Length]!, this.blocks.size - this.#queues[queue + Queue.Start]!);
  }

  /** Removes the oldest `length` bytes, and gives the blocks back that had no others. */
  consume(queue: number, length: number): void {
    const queues = this.#queues;
    const before = queues[queue + Queue.Length]!;
    assert(length >= 0 && length <= before, `${length} of ${before} bytes`);
    let start = queues[queue + Queue.Start]! + length;
    let first = queues[queue + Queue.First]!;
    const left = before - length;
    while (first > 0 && (start >= this.blocks.size || left === 0)) {
      const next = this.blocks.nextOf(first - 1) + 1;
      this.blocks.give(first - 1);
      first = next;
      start -= this.blocks.size;
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
      into.set(this.blocks.bytes.subarray(from, from + length), done);
      this.consume(queue, length);
      done += length;
    }
  }

  /** Removes all bytes of a queue. */
  clear(queue: number): void {
    this.consume(queue, this.#queues[queue + Queue.Length]!);
  }

  /** Copies to the end of the last block, and on into the chain. */
  #copy(data: Uint8Array, length: number, last: number, end: number, first: number): boolean {
    const size = this.blocks.size;
    let done = 0;
    let to = end === 0 ? first * size : last * size + end;
    let room = size - end;
    for (let next = end === 0 ? this.blocks.nextOf(first) : first; ; next = this.blocks.nextOf(next)) {
      const piece = Math.min(length - done, room);
      try {
        // The caller's array is read by its internal slots. Its memory may have been detached, or have shrunk.
        this.blocks.bytes.set(new Uint8Array(memoryOf(data), byteOffsetOf(data) + done, piece), to);
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
      const block = this.blocks.take(owner);
      if (block < 0) {
        this.#giveChain(first);
        return -1;
      }
      this.blocks.link(block, first);
      first = block;
    }
    return first;
  }

  #giveChain(first: number): void {
    for (let block = first; block >= 0; ) {
      const next = this.blocks.nextOf(block);
      this.blocks.give(block);
      block = next;
    }
  }

  #lastOf(block: number): number {
    let last = block;
    for (let next = this.blocks.nextOf(last); next >= 0; next = this.blocks.nextOf(last)) last = next;
    return last;
  }
}
