// Frame buffers: bytes that a session has received and has not been given yet, in memory that all threads see, since any thread
// may take the session's next turn.
//
//    First: a run of blocks    |......| a half frame, or whole frames that wait |.......|
//                                     ^ Start                                   ^ End
//
// The bytes of a session lie in one piece, so that a framer can look at them where they are: a frame that comes byte by byte is not
// copied for each byte. A buffer that is full moves to a run twice as long. The thread of the session's turn alone uses its buffer.

import type { Blocks } from './blocks.js';

/** The words of a buffer. Zeros are an empty one. */
export const FRAME_WORDS = 4;

const Word = {
  /** The first block plus one; 0 when the buffer is empty. */
  First: 0,
  Count: 1,
  Start: 2,
  End: 3,
} as const;

/** Owns the blocks of a frame buffer; the blocks of the record's queues have another owner. */
const ownerOf = (slot: number) => -1 - slot;

export class FrameBuffers {
  readonly #blocks: Blocks;
  readonly #words: Int32Array;
  readonly #bytes: Buffer;

  /** @param words where the buffers' words lie */
  constructor(blocks: Blocks, words: Int32Array) {
    const { buffer, byteOffset, length } = blocks.bytes;
    this.#blocks = blocks;
    this.#words = words;
    this.#bytes = Buffer.from(buffer as ArrayBuffer, byteOffset, length);
  }

  lengthOf(at: number): number {
    return this.#words[at + Word.End]! - this.#words[at + Word.Start]!;
  }

  /** All bytes, valid until the buffer changes. */
  view(at: number): Buffer {
    const words = this.#words;
    const base = (words[at + Word.First]! - 1) * this.#blocks.size;
    return this.#bytes.subarray(base + words[at + Word.Start]!, base + words[at + Word.End]!);
  }

  /**
   * Appends `count` bytes of `from`, at least 1. False, and nothing is appended, when no run of free blocks is long enough.
   * @param most so many bytes the buffer has to hold in the end, as far as is known
   */
  append(at: number, slot: number, from: Buffer, offset: number, count: number, most: number): boolean {
    const words = this.#words;
    const { size } = this.#blocks;
    const room = words[at + Word.Count]! * size - words[at + Word.End]!;
    if (count > room && !this.#makeRoom(at, slot, count, most)) return false;
    const end = words[at + Word.End]!;
    from.copy(this.#bytes, (words[at + Word.First]! - 1) * size + end, offset, offset + count);
    words[at + Word.End] = end + count;
    return true;
  }

  /** Removes the oldest `length` bytes. Gives a copy in memory of its own. */
  take(at: number, length: number): Buffer {
    const words = this.#words;
    const start = words[at + Word.Start]!;
    const from = (words[at + Word.First]! - 1) * this.#blocks.size + start;
    const taken = Buffer.allocUnsafeSlow(length);
    this.#bytes.copy(taken, 0, from, from + length);
    words[at + Word.Start] = start + length;
    if (this.lengthOf(at) === 0) this.clear(at);
    return taken;
  }

  /** Removes the `count` bytes that were appended last. */
  drop(at: number, count: number): void {
    this.#words[at + Word.End]! -= count;
    if (this.lengthOf(at) === 0) this.clear(at);
  }

  clear(at: number): void {
    const words = this.#words;
    const first = words[at + Word.First]! - 1;
    const count = words[at + Word.Count]!;
    words.fill(0, at, at + FRAME_WORDS);
    if (first >= 0) this.#blocks.giveRun(first, count);
  }

  /** The thread that used the buffer has ended. */
  reclaim(at: number, slot: number): void {
    this.#words.fill(0, at, at + FRAME_WORDS);
    this.#blocks.reclaim(ownerOf(slot));
  }

  /** Moves the bytes to a run with room for `more`; to one twice as long, if the frame needs as much and there is one. */
  #makeRoom(at: number, slot: number, more: number, most: number): boolean {
    const words = this.#words;
    const { size } = this.#blocks;
    const length = this.lengthOf(at);
    const needed = length + more;
    let count = Math.ceil(Math.max(needed, Math.min(2 * length, most)) / size);
    let first = this.#blocks.takeRun(count, ownerOf(slot));
    if (first < 0) {
      count = Math.ceil(needed / size);
      first = this.#blocks.takeRun(count, ownerOf(slot));
      if (first < 0) return false;
    }
    if (length > 0) this.view(at).copy(this.#bytes, first * size);
    this.clear(at);
    words[at + Word.First] = first + 1;
    words[at + Word.Count] = count;
    words[at + Word.End] = length;
    return true;
  }
}
