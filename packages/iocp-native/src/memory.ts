// Native memory: blocks that the kernel may read and write while JavaScript runs. JavaScript sees them through one
// ArrayBuffer each, which it can neither move, nor collect, nor detach.
//
// A block is never unmapped: a view that a user kept past its time must not become a crash. Blocks that come back are
// emptied (their pages go back to the system) and serve the next request of the same size.

import assert from 'node:assert';
import { koffi } from './koffi.js';

/** A block of native memory. Blocks start on a page. */
export interface NativeBlock {
  /** User-space addresses fit a double exactly, so address arithmetic needs no BigInt. */
  readonly address: number;
  /** Bytes, a multiple of 4096. */
  readonly size: number;
  /** The whole block. It reads zeros once the port that it was allocated from is closed. */
  readonly bytes: Buffer;
  /** The same in words of 32 bits. */
  readonly words: Uint32Array;
}

/** How one platform maps and empties memory. */
export interface MemorySource {
  /** Maps `size` zeroed bytes, a multiple of 4096; where pages are larger, the system rounds up. Throws an IocpError (ENOMEM). */
  map(size: number): { address: number; view: ArrayBuffer };
  /** Gives the pages back; the block reads as zeros afterwards. */
  empty(block: NativeBlock): void;
}

const PAGE = 4096;

/** Blocks of one platform, reused by size. One for each thread. */
export class BlockStore {
  readonly #source: MemorySource;
  readonly #free = new Map<number, NativeBlock[]>();

  constructor(source: MemorySource) {
    this.#source = source;
  }

  /** Zeroed memory of at least `bytes`. Throws an IocpError (ENOMEM). */
  take(bytes: number): NativeBlock {
    assert(Number.isSafeInteger(bytes) && bytes > 0, `a block of ${bytes} bytes`);
    const size = Math.ceil(bytes / PAGE) * PAGE;
    const reused = this.#free.get(size)?.pop();
    if (reused) return reused;
    const { address, view } = this.#source.map(size);
    return { address, size, bytes: Buffer.from(view), words: new Uint32Array(view) };
  }

  /** Takes a block back. The kernel must be done with it. */
  give(block: NativeBlock): void {
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
    return { address, view: new ArrayBuffer(size) };
  },
  empty(block) {
    block.bytes.fill(0);
  },
};

/**
 * A view of native memory that another thread of this process has allocated, which must outlive its use here.
 * Throws an IocpError (ENOTSUP) where there is no native memory.
 */
export function blockAt(address: number, size: number): NativeBlock {
  const view = koffi().view(address, size);
  return { address, size, bytes: Buffer.from(view), words: new Uint32Array(view) };
}
