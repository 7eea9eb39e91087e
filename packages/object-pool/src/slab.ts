// Slab: a native block in equal slots, and which of them are out. Events and send buffers lie in slabs, so that the
// kernel's memory is carved once and never moves.
//
//   offset  0         size      2*size             capacity*size    block.size
//           | slot 0  | slot 1  | slot 2  |  ...   |     unused     |

import assert from 'node:assert';
import type { NativeBlock } from '@overlapped/iocp-native';
import { debugging, SlotWatch, strideOf } from '@overlapped/iocp-native/internal';

/** Slots start on a multiple of this many bytes, as an OVERLAPPED must. */
const ALIGNMENT = 16;

/**
 * Fixed slots in one block. The slot released last is acquired first: it is the one still in cache. A slot that was never
 * out costs nothing yet, neither time nor resident memory.
 */
export class Slab {
  /** The memory that its slots lie in. */
  readonly block: NativeBlock;
  /** Bytes of each slot. */
  readonly size: number;
  /** How many slots there are. */
  readonly capacity: number;
  /** The slots that have come back, the last one on top. */
  readonly #free: Uint32Array;
  #freeCount = 0;
  /** The slots from here on were never out. */
  #fresh = 0;
  readonly #live: Uint8Array;
  readonly #generations: Uint16Array;
  /** Bytes from slot to slot. */
  readonly #stride: number;
  readonly #watch: SlotWatch | null;

  /**
   * @param size bytes of a slot, a multiple of 16. The block must hold `capacity` of them; in debug mode they have guards
   *   when it has bytesFor(size, capacity).
   */
  constructor(block: NativeBlock, size: number, capacity: number) {
    assert(Number.isInteger(size) && size > 0 && size % ALIGNMENT === 0, `a slot of ${size} bytes is not aligned`);
    assert(Number.isInteger(capacity) && capacity > 0, `a slab of ${capacity} slots`);
    assert(size * capacity <= block.size, `${capacity} slots of ${size} bytes in a block of ${block.size}`);
    this.block = block;
    this.size = size;
    this.capacity = capacity;
    this.#free = new Uint32Array(capacity);
    this.#live = new Uint8Array(capacity);
    this.#generations = new Uint16Array(capacity);
    this.#stride = Slab.bytesFor(size, capacity) <= block.size ? strideOf(size) : size;
    this.#watch = debugging ? new SlotWatch(block, size, this.#stride) : null;
  }

  /** Bytes of a block for so many slots of this size: with guards in debug mode. */
  static bytesFor(size: number, capacity: number): number {
    return strideOf(size) * capacity;
  }

  /** Slots that are out. */
  get out(): number {
    return this.#fresh - this.#freeCount;
  }

  /** A free slot, or -1 when all are out. */
  acquire(): number {
    if (this.#freeCount === 0 && this.#fresh === this.capacity) return -1;
    const index = this.#freeCount > 0 ? this.#free[--this.#freeCount]! : this.#fresh++;
    this.#live[index] = 1;
    if (this.#watch !== null) this.#watchAcquire(this.#watch, index);
    return index;
  }

  /** Gives a slot back and moves it to its next generation. */
  release(index: number): void {
    if (this.#live[index] !== 1) assert.fail(`release of slot ${index}, which is not out${this.usesOf(index)}`);
    this.#live[index] = 0;
    this.#generations[index]!++;
    this.#free[this.#freeCount++] = index;
    if (this.#watch !== null) this.#watch.released(index);
  }

  /** In debug mode, where the slot was acquired and released last, to be put behind a message; else ''. */
  usesOf(index: number): string {
    return this.#watch?.uses.of(index) ?? '';
  }

  /** Whether the slot is out. */
  isLive(index: number): boolean {
    return this.#live[index] === 1;
  }

  /** How often the slot has been released, in 16 bits. A reference with another number is about an earlier use. */
  generationOf(index: number): number {
    return this.#generations[index]!;
  }

  /** Where the slot starts in the block, in bytes. */
  offsetOf(index: number): number {
    return index * this.#stride;
  }

  /** Tear-down: every slot must have come back. Throws an AssertionError that says how many have not, by the name in `what`. */
  assertEmpty(what: string): void {
    if (this.out !== 0) assert.fail(`${this.out} of ${this.capacity} ${what} are out${this.#watch?.report() ?? ''}`);
  }

  #watchAcquire(watch: SlotWatch, index: number): void {
    watch.checkPoison(index);
    watch.acquired(index);
  }
}
