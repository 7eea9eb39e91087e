// Native memory on Windows: private committed pages. They take no physical memory until they are touched.

import { viewOf } from '../native/koffi.js';
import { Owned, own } from '../native/ledger.js';
import type { MemorySource, NativeBlock } from '../native/memory.js';
import { MEM_COMMIT, MEM_DECOMMIT, MEM_RESERVE, PAGE_READWRITE } from './constants.js';
import { win32Error } from './errors.js';
import { GetLastError, VirtualAlloc, VirtualFree } from './kernel32.js';

export const win32Memory: MemorySource = {
  map(size) {
    const address = VirtualAlloc(0, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (address === 0) throw win32Error(`map ${size} bytes`, 'VirtualAlloc', GetLastError());
    own(Owned.Block, address, size);
    return address;
  },
  view: viewOf,
  empty,
  // It stays committed: an access by a stale view to a page that is only reserved would end the process.
  retire: empty,
};

// Commits the pages again at once: a stale view may still read them.
function empty({ address, size }: NativeBlock): void {
  if (VirtualFree(address, size, MEM_DECOMMIT) === 0) {
    throw win32Error('empty a block', 'VirtualFree', GetLastError());
  }
  if (VirtualAlloc(address, size, MEM_COMMIT, PAGE_READWRITE) !== address) {
    throw win32Error('empty a block', 'VirtualAlloc', GetLastError());
  }
}
