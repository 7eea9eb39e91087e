// Native memory on Linux: anonymous private mappings, which cost nothing until they are touched.

import { viewOf } from '../native/koffi.js';
import { disown, Owned, own } from '../native/ledger.js';
import { BlockStore, type MemorySource } from '../native/memory.js';
import { check, madvise, mmap, munmap } from './libc.js';

export const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x02 | 0x20 | 0x4000;
const MAP_FIXED = 0x10;
const MADV_DONTNEED = 4;

/** Unmaps memory that no view looks at any more. */
export function unmap(address: number, size: number): void {
  disown(Owned.Block, address);
  check(munmap(address, size), 'unmap memory', 'munmap');
}

export const linuxMemory: MemorySource = {
  map(size) {
    const flags = MAP_PRIVATE_ANONYMOUS_NORESERVE;
    const address = check(mmap(0, size, PROT_READ_WRITE, flags, -1, 0), `map ${size} bytes`, 'mmap');
    own(Owned.Block, address, size);
    return address;
  },
  view: viewOf,
  empty(block) {
    check(madvise(block.address, block.size, MADV_DONTNEED), 'empty a block', 'madvise');
  },
  // A new mapping in the place of the old one: that gives back the page tables, too, and neighbours become one mapping.
  retire({ address, size }) {
    const flags = MAP_PRIVATE_ANONYMOUS_NORESERVE | MAP_FIXED;
    check(mmap(address, size, PROT_READ_WRITE, flags, -1, 0), 'empty a block', 'mmap');
  },
};

/** The blocks of this thread's ports. They outlive their ports, so that a view which was kept too long stays harmless. */
export const linuxBlocks = new BlockStore(linuxMemory);
