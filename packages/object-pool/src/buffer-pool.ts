// BufferPool: send buffers of one size in native memory, named by index. Bytes that must outlive the call that sends
// them are copied here; the kernel reads them until the send's packet has been dequeued.

import assert from 'node:assert';
import type { NativeBlock } from '@overlapped/iocp-native';
import { Slab } from './slab.js';

/** Buffers of one size, named by index. It belongs to the thread that made it. */
export class BufferPool {
  readonly #slab: Slab;
  readonly #views: (Buffer | undefined)[];
  readonly #owners: (object | null)[];

  /** @param size bytes of a buffer, a multiple of 16. The block must hold `capacity` of them (see Slab.bytesFor). */
  constructor(block: NativeBlock, size: number, capacity: number) {
    this.#slab = new Slab(block, size, capacity);
    this.#views = new Array(capacity).fill(undefined);
    this.#owners = new Array(capacity).fill(null);
  }

  /** The block that a GatherList names to send from these buffers, with offsetOf(). */
  get block(): NativeBlock {
    return this.#slab.block;
  }

  /** Bytes of each buffer. */
  get size(): number {
    return this.#slab.size;
  }

  /** How many buffers there are. */
  get capacity(): number {
    return this.#slab.capacity;
  }

  /** Buffers that are out. */
  get out(): number {
    return this.#slab.out;
  }

  /**
   * A free buffer, or -1 when all are out. Its bytes are those that the last user left.
   * @param owner the value that release() must name then, so that no other user of the pool can give the buffer back.
   */
  acquire(owner: object | null = null): number {
    const index = this.#slab.acquire();
    if (index >= 0) this.#owners[index] = owner;
    return index;
  }

  /** Gives a buffer back. The kernel must be done with it. */
  release(index: number, owner: object | null = null): void {
    if (this.#owners[index] !== owner && this.#slab.isLive(index))
      assert.fail(`release of buffer ${index}, which another owns`);
    this.#slab.release(index);
  }

  /** The whole buffer, always the same view. The buffer must be out. */
  bytes(index: number): Buffer {
    if (!this.#slab.isLive(index)) this.#fail(index);
    return this.#views[index] ?? this.#view(index);
  }

  /** Where the buffer starts in the block, in bytes. */
  offsetOf(index: number): number {
    return this.#slab.offsetOf(index);
  }

  /** Tear-down: every buffer must have come back. Throws an AssertionError that says how many have not. */
  assertEmpty(): void {
    this.#slab.assertEmpty(`buffers of ${this.size} bytes`);
  }

  #fail(index: number): never {
    assert.fail(`use of buffer ${index}, which is not out${this.#slab.usesOf(index)}`);
  }

  #view(index: number): Buffer {
    const start = this.#slab.offsetOf(index);
    const view = this.#slab.block.bytes.subarray(start, start + this.size);
    this.#views[index] = view;
    return view;
  }
}
