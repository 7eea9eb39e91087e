// The receive buffers of one port: equal slots in one native block, counted by reference, with their views.
// Which slot is free is the backend's to know: a kernel's buffer ring on Linux, a FreeList elsewhere.

import assert from 'node:assert';
import { debugging, SlotWatch, strideOf } from './debug.js';
import type { NativeBlock } from './memory.js';

export class ReceiveBuffers {
  readonly block: NativeBlock;
  readonly count: number;
  readonly size: number;
  readonly #stride: number;
  readonly #watch: SlotWatch | null;
  /** Slots with at least one reference. */
  out = 0;
  readonly #references: Uint16Array;
  // The last view of each slot. Messages of equal length find theirs here, so a packet needs no new object.
  readonly #views: (Buffer | undefined)[];
  /** Those of parts: a port asks for one `from` alone. */
  readonly #partViews: (Buffer | undefined)[];

  /** @param block memory of bytesFor(count, size). */
  constructor(block: NativeBlock, count: number, size: number) {
    this.block = block;
    this.count = count;
    this.size = size;
    this.#stride = strideOf(size);
    this.#watch = debugging ? new SlotWatch(block, size, this.#stride) : null;
    this.#references = new Uint16Array(count);
    this.#views = new Array(count).fill(undefined);
    this.#partViews = new Array(count).fill(undefined);
  }

  /** Bytes that so many slots take. */
  static bytesFor(count: number, size: number): number {
    return count * strideOf(size);
  }

  /** Where a slot starts in the block, in bytes. */
  offsetOf(index: number): number {
    return index * this.#stride;
  }

  /** The kernel filled `length` bytes of a slot: takes the first reference and gives the view. */
  take(index: number, length: number): Buffer {
    this.#references[index] = 1;
    this.out++;
    if (this.#watch !== null) this.#watch.acquired(index);
    const view = this.#views[index];
    if (view !== undefined && view.length === length) return view;
    const start = this.offsetOf(index);
    const fresh = this.block.bytes.subarray(start, start + length);
    this.#views[index] = fresh;
    return fresh;
  }

  /** The same for bytes that do not lie at the start of the slot. */
  takePart(index: number, from: number, length: number): Buffer {
    this.#references[index] = 1;
    this.out++;
    if (this.#watch !== null) this.#watch.acquired(index);
    const view = this.#partViews[index];
    if (view !== undefined && view.length === length) return view;
    const start = this.offsetOf(index) + from;
    const fresh = this.block.bytes.subarray(start, start + length);
    this.#partViews[index] = fresh;
    return fresh;
  }

  retain(index: number): void {
    if (!(this.#references[index]! > 0)) this.#fail('retain', index);
    this.#references[index]!++;
    if (this.#watch !== null) this.#watch.acquired(index);
  }

  /** Drops a reference; true when it was the last one and the slot is free again. */
  release(index: number): boolean {
    const left = this.#references[index]! - 1;
    // So that an index that is none fails, too.
    if (!(left >= 0)) this.#fail('release', index);
    this.#references[index] = left;
    if (left > 0) return false;
    this.out--;
    if (this.#watch !== null) this.#watch.released(index);
    return true;
  }

  /** The slot that borrowed bytes lie in, or -1. */
  indexOf(bytes: Uint8Array): number {
    const own = this.block.bytes;
    if (bytes.buffer !== own.buffer) return -1;
    return Math.floor((bytes.byteOffset - own.byteOffset) / this.#stride);
  }

  #fail(what: string, index: number): never {
    assert.fail(`${what} of receive buffer ${index}, which is not out${this.#watch?.uses.of(index) ?? ''}`);
  }
}

/** Free slots, last in first out: the slot used last is the one still in cache. */
export class FreeList {
  readonly #slots: Uint32Array;
  #count: number;

  constructor(count: number) {
    this.#slots = Uint32Array.from({ length: count }, (_, i) => count - 1 - i);
    this.#count = count;
  }

  /** A free slot, or -1. */
  pop(): number {
    return this.#count === 0 ? -1 : this.#slots[--this.#count]!;
  }

  push(slot: number): void {
    this.#slots[this.#count++] = slot;
  }
}
