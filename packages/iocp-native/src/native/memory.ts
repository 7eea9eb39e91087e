// Native memory: blocks that the kernel may read and write while JavaScript runs.
//
// A block is mapped for as long as its thread lives: a view that a user kept past its time must not become a crash. Memory that a
// user may have seen (receive buffers, blocks of allocate()) is emptied when its port closes, and its addresses never serve
// anything again: a late view reads zeros, and never another port's bytes. Only hidden blocks, of which no view leaves these
// packages, serve the next request of the same size.

import assert from 'node:assert';
import { markAsUntransferable } from 'node:worker_threads';
import { lengthOf } from '../typed-arrays.js';
import { viewOf } from './koffi.js';
import { isShared } from './shared-blocks.js';

/** How one platform maps, views and empties memory. */
export interface MemorySource {
  /** Maps `size` zeroed bytes (a multiple of 4096; where pages are larger, the system rounds up). Gives the address. Throws an IocpError (ENOMEM). */
  map(size: number): number;
  /** An ArrayBuffer over mapped memory. */
  view(address: number, size: number): ArrayBuffer;
  /** Gives the pages back; the block reads as zeros afterwards. */
  empty(block: NativeBlock): void;
  /** The same, for a block that is not used again: nothing but its addresses may stay taken. */
  retire(block: NativeBlock): void;
}

const PAGE = 4096;

/**
 * A block of native memory, which starts on a page. Only ports make blocks: any other object is refused where its address would
 * go to the kernel.
 */
export class NativeBlock {
  /** No view of it leaves these packages. */
  readonly #hidden: boolean;
  readonly #address: number;
  readonly #size: number;
  readonly #source: MemorySource;
  #slot: number;
  #stride: number;
  #bytes: Buffer | null = null;
  #words: Uint32Array | null = null;

  constructor(source: MemorySource, address: number, size: number, hidden = false) {
    this.#source = source;
    this.#address = address;
    this.#size = size;
    this.#hidden = hidden;
    this.#slot = size;
    this.#stride = size;
  }

  /** User-space addresses fit a double exactly, so address arithmetic needs no BigInt. */
  get address(): number {
    return this.#address;
  }

  /** Bytes, a multiple of 4096. */
  get size(): number {
    return this.#size;
  }

  /** The whole block. It reads zeros once the port that it was allocated from is closed. */
  get bytes(): Buffer {
    return this.#bytes ?? this.#map().bytes;
  }

  /** The same in words of 32 bits. */
  get words(): Uint32Array {
    return this.#words ?? this.#map().words;
  }

  /** Whether there is a view of it all. @internal */
  get viewed(): boolean {
    return this.#bytes !== null;
  }

  /** Whether it may serve another port. @internal */
  get hidden(): boolean {
    return this.#hidden;
  }

  /** Says that it is used in slots of `size` bytes, `stride` apart: nothing that goes to the kernel crosses them. @internal */
  divide(size: number, stride: number): void {
    this.#slot = size;
    this.#stride = stride;
  }

  /**
   * An ArrayBuffer of its own over a part: a view of it shows no more than the part. Where no kernel reads the memory,
   * it is memory of its own. @internal
   */
  part(offset: number, size: number): ArrayBuffer {
    assert(offset >= 0 && size > 0 && offset + size <= this.#size, `${size} bytes from ${offset}`);
    return this.#source.view(this.#address + offset, size);
  }

  /** See sectionOf(). @internal */
  static section(block: NativeBlock, offset: number, size: number): NativeBlock {
    const paged = offset % PAGE === 0 && size % PAGE === 0;
    assert(paged && offset >= 0 && size > 0 && offset + size <= block.#size, `${size} bytes from ${offset}`);
    return new NativeBlock(block.#source, block.#address + offset, size, block.#hidden);
  }

  /** Whether so many bytes lie in the block, and in one slot of it. Asserts that the block is one. @internal */
  static has(block: NativeBlock, offset: number, length: number): boolean {
    if (!(#size in block)) assert.fail('a block that no port has allocated');
    if (offset < 0 || length < 0 || offset + length > block.#size) return false;
    return block.#stride === block.#size || (offset % block.#stride) + length <= block.#slot;
  }

  #map(): { bytes: Buffer; words: Uint32Array } {
    const memory = this.#source.view(this.#address, this.#size);
    this.#bytes = Buffer.from(memory);
    this.#words = new Uint32Array(memory);
    return { bytes: this.#bytes, words: this.#words };
  }
}

/**
 * A block over a part of another, which starts and ends on a page: its views show no more than the part. Where no kernel reads the
 * memory, it is memory of its own.
 */
export function sectionOf(block: NativeBlock, offset: number, size: number): NativeBlock {
  return NativeBlock.section(block, offset, size);
}

/** Blocks of one platform. One store for each thread. */
export class BlockStore {
  readonly #source: MemorySource;
  readonly #free = new Map<number, NativeBlock[]>();

  constructor(source: MemorySource) {
    this.#source = source;
  }

  /** Zeroed memory of at least `bytes`. `hidden`: no view of it leaves these packages. Throws an IocpError (ENOMEM). */
  take(bytes: number, hidden = false): NativeBlock {
    assert(Number.isSafeInteger(bytes) && bytes > 0, `a block of ${bytes} bytes`);
    const size = Math.ceil(bytes / PAGE) * PAGE;
    const reused = hidden ? this.#free.get(size)?.pop() : undefined;
    return reused ?? new NativeBlock(this.#source, this.#source.map(size), size, hidden);
  }

  /** Takes a block back. The kernel must be done with it. */
  give(block: NativeBlock): void {
    if (!block.hidden) {
      this.#source.retire(block);
      return;
    }
    this.#source.empty(block);
    const list = this.#free.get(block.size);
    if (list) list.push(block);
    else this.#free.set(block.size, [block]);
  }
}

// Ordinary memory, for where no kernel reads it. The addresses are made up, distinct, and name nothing.
let nextAddress = PAGE;
export const plainMemory: MemorySource = {
  map(size) {
    const address = nextAddress;
    nextAddress += size + PAGE;
    return address;
  },
  // Not to be posted away while a socket reads or writes it. Node sees to that itself for native memory, and at a thread's end
  // could not detach a buffer that was marked here.
  view(_address, size) {
    const memory = new ArrayBuffer(size);
    markAsUntransferable(memory);
    return memory;
  },
  empty(block) {
    if (block.viewed && lengthOf(block.bytes) > 0) block.bytes.fill(0);
  },
  retire(block) {
    this.empty(block);
  },
};

/** Memory of another thread: it is that thread's to empty. */
const foreignMemory: MemorySource = {
  map: () => assert.fail('memory of another thread is not mapped here'),
  view: viewOf,
  empty: () => {},
  retire: () => {},
};

/**
 * A view of native memory that another thread of this process has allocated, which must outlive its use here. Asserts that this
 * thread, or one that started it, had called shareBlock() for it before it was started.
 * Throws an IocpError (ENOTSUP) where there is no native memory.
 */
export function blockAt(address: number, size: number): NativeBlock {
  assert(isShared(address, size), `no block of ${size} bytes at ${address} was shared with this thread`);
  const block = new NativeBlock(foreignMemory, address, size);
  void block.bytes;
  return block;
}
