// The receive buffers of one port: equal slots in one native block, counted by reference, with their views.
// Which slot is free is the backend's to know: a kernel's buffer ring on Linux, a FreeList elsewhere.
//
//   slot   0            length     extent        size
//          | message    | zeros ...                |
//
// Each slot has an ArrayBuffer of its own, so that a view of received bytes reaches no other slot, also by way of its
// `buffer`. Behind the message the slot reads zeros: bytes that an earlier, longer message left there are cleared when the slot is
// taken. A user may detach that ArrayBuffer (`transfer()`); the slot's memory stays, and the next message gets a new one.

import assert from 'node:assert';
import { blockOf, bytesOf, type GatherList, offsetOf } from '../contract/gather-list.js';
import { debugging, SlotWatch, strideOf } from '../debug.js';
import type { NativeBlock } from '../native/memory.js';
import { byteOffsetOf, lengthOf, memoryOf } from '../typed-arrays.js';

export class ReceiveBuffers {
  readonly block: NativeBlock;
  readonly count: number;
  readonly size: number;
  readonly #stride: number;
  readonly #watch: SlotWatch | null;
  readonly #stats: { buffersOut: number };
  readonly #references: Uint16Array;
  /** Bytes at the start of each slot that may not be zero. */
  readonly #extents: Uint32Array;
  /** The whole of each slot. */
  readonly #slots: (Buffer | undefined)[];
  /** The whole of each slot behind `from`, for those of parts: a port asks for one `from` alone. */
  readonly #parts: (Buffer | undefined)[];
  // The last view of each slot. Messages of equal length find theirs here, so a packet needs no new object.
  readonly #views: (Buffer | undefined)[];
  readonly #partViews: (Buffer | undefined)[];
  /** Where in their slots the parts start. */
  #partStart = 0;
  /** Where in the block the memory of a slot, or of a part, starts. */
  readonly #offsets = new WeakMap<ArrayBuffer, number>();

  /**
   * @param block memory of bytesFor(count, size)
   * @param stats where slots with at least one reference are counted
   */
  constructor(block: NativeBlock, count: number, size: number, stats = { buffersOut: 0 }) {
    this.#stats = stats;
    this.block = block;
    this.count = count;
    this.size = size;
    this.#stride = strideOf(size);
    block.divide(size, this.#stride);
    this.#watch = debugging ? new SlotWatch(block, size, this.#stride, (index) => this.slot(index)) : null;
    this.#references = new Uint16Array(count);
    this.#extents = new Uint32Array(count);
    this.#slots = new Array(count).fill(undefined);
    this.#parts = new Array(count).fill(undefined);
    this.#views = new Array(count).fill(undefined);
    this.#partViews = new Array(count).fill(undefined);
  }

  /** Bytes that so many slots take. */
  static bytesFor(count: number, size: number): number {
    return count * strideOf(size);
  }

  /** Slots with at least one reference. */
  get out(): number {
    return this.#stats.buffersOut;
  }

  /** Where a slot starts in the block, in bytes. */
  offsetOf(index: number): number {
    return index * this.#stride;
  }

  /** The whole slot, for drivers that fill it in JavaScript. */
  slot(index: number): Buffer {
    const slot = this.#slots[index];
    if (slot !== undefined && lengthOf(slot) === this.size) return slot;
    return this.#open(this.#slots, index, 0);
  }

  /** Bytes that a piece of a send names, where the memory is read in JavaScript. */
  piece(offset: number, length: number): Buffer {
    const index = Math.floor(offset / this.#stride);
    const start = offset - index * this.#stride;
    return this.slot(index).subarray(start, start + length);
  }

  /** The kernel filled `length` bytes of a slot: takes the first reference and gives the view. */
  take(index: number, length: number): Buffer {
    this.#taken(index, length);
    const view = this.#views[index];
    if (view !== undefined && lengthOf(view) === length) return view;
    const fresh = viewOf(this.slot(index), length);
    this.#views[index] = fresh;
    return fresh;
  }

  /** The same for bytes that do not lie at the start of the slot. */
  takePart(index: number, from: number, length: number): Buffer {
    this.#taken(index, from + length);
    const view = this.#partViews[index];
    if (view !== undefined && lengthOf(view) === length) return view;
    this.#partStart = from;
    const part = this.#parts[index];
    const whole = part !== undefined && lengthOf(part) > 0 ? part : this.#open(this.#parts, index, from);
    const fresh = viewOf(whole, length);
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
    this.#stats.buffersOut--;
    if (this.#watch !== null) {
      // It poisons the whole slot.
      this.#extents[index] = this.size;
      this.#watch.released(index);
    }
    return true;
  }

  /** The slot that borrowed bytes lie in, or -1. */
  indexOf(bytes: Uint8Array): number {
    const offset = this.#offsets.get(memoryOf(bytes));
    return offset === undefined ? -1 : Math.floor(offset / this.#stride);
  }

  /**
   * Where in the block borrowed bytes start; -1 for bytes that are not borrowed.
   * @param index their slot, if it is known. For a slot's own view this avoids the read of the view's memory, which is slow.
   */
  placeOf(bytes: Uint8Array, index = -1): number {
    if (index >= 0) {
      if (bytes === this.#partViews[index]) return this.offsetOf(index) + this.#partStart;
      if (bytes === this.#views[index]) return this.offsetOf(index);
    }
    const offset = this.#offsets.get(memoryOf(bytes));
    return offset === undefined ? -1 : offset + byteOffsetOf(bytes);
  }

  /** Zeros in the memory that views may still show, where the system does not empty the block's memory. */
  wipe(): void {
    for (const slot of this.#slots) if (slot !== undefined && lengthOf(slot) > 0) slot.fill(0);
  }

  #taken(index: number, length: number): void {
    this.#references[index] = 1;
    this.#stats.buffersOut++;
    if (this.#watch !== null) this.#watch.acquired(index);
    const extent = this.#extents[index]!;
    if (length < extent) this.slot(index).fill(0, length, extent);
    this.#extents[index] = length;
  }

  /** Gives a slot, or a part of one, an ArrayBuffer. */
  #open(views: (Buffer | undefined)[], index: number, from: number): Buffer {
    const offset = this.offsetOf(index) + from;
    const memory = this.block.part(offset, this.size - from);
    this.#offsets.set(memory, offset);
    const view = Buffer.from(memory);
    views[index] = view;
    return view;
  }

  #fail(what: string, index: number): never {
    assert.fail(`${what} of receive buffer ${index}, which is not out${this.#watch?.uses.of(index) ?? ''}`);
  }
}

function viewOf(whole: Buffer, length: number): Buffer {
  return Buffer.from(memoryOf(whole), 0, length);
}

/** The bytes of a piece of a send, where JavaScript reads them. */
export function pieceOf(buffers: ReceiveBuffers, pieces: GatherList, index: number): Buffer {
  const block = blockOf(pieces, index);
  const offset = offsetOf(pieces, index);
  const length = bytesOf(pieces, index);
  return block === buffers.block ? buffers.piece(offset, length) : block.bytes.subarray(offset, offset + length);
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
