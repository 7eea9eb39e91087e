// GatherList: the pieces of one send. Its numbers go to the kernel, so only add() writes them, after its check; backends read
// it by the functions below, which no subclass can replace.

import assert from 'node:assert';
import { NativeBlock } from '../native/memory.js';

/** The most pieces that one send gathers. */
export const MAX_GATHER = 16;

/** The block that a piece lies in. */
export let blockOf: (list: GatherList, index: number) => NativeBlock;
/** Where in its block a piece starts, in bytes. */
export let offsetOf: (list: GatherList, index: number) => number;
/** Bytes of a piece. */
export let bytesOf: (list: GatherList, index: number) => number;
/** Pieces of a list. */
export let countOf: (list: GatherList) => number;
/** Bytes of all pieces of a list. */
export let totalOf: (list: GatherList) => number;

/** The pieces of one send, gathered in order. One list per owner, refilled for each send. */
export class GatherList {
  #count = 0;
  #bytes = 0;
  readonly #blocks: NativeBlock[] = [];
  readonly #offsets = new Int32Array(MAX_GATHER);
  readonly #lengths = new Int32Array(MAX_GATHER);

  static {
    blockOf = (list, index) => list.#blocks[index]!;
    offsetOf = (list, index) => list.#offsets[index]!;
    bytesOf = (list, index) => list.#lengths[index]!;
    countOf = (list) => list.#count;
    totalOf = (list) => list.#bytes;
  }

  /** Pieces that it has, MAX_GATHER at most. */
  get count(): number {
    return this.#count;
  }

  /** Sum of the lengths, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds `length` bytes of `block` from `offset`. False when the list is full. Asserts that a port allocated the block, and that
   * the bytes lie in it; in a port's `receiveBlock`, in one receive buffer.
   */
  add(block: NativeBlock, offset: number, length: number): boolean {
    // The kernel reads these numbers, so this is the last check. A number that is no 32-bit integer differs from itself | 0.
    const whole = (offset | 0) === offset && (length | 0) === length;
    if (!whole || !NativeBlock.has(block, offset, length))
      assert.fail(`${length} bytes from ${offset} of a block of ${block.size}`);
    const i = this.#count;
    if (i === MAX_GATHER) return false;
    this.#blocks[i] = block;
    this.#offsets[i] = offset;
    this.#lengths[i] = length;
    this.#bytes += length;
    this.#count = i + 1;
    return true;
  }

  /** Empties the list. A port has read it when its send() returns. */
  clear(): void {
    this.#count = 0;
    this.#bytes = 0;
  }
}
