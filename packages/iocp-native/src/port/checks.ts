// Checks of callers' numbers, which go to the kernel as they are: before anything is started for them.

import assert from 'node:assert';
import { EVENT_SIZE, type Overlapped } from '../contract/port.js';
import { NativeBlock } from '../native/memory.js';

/** The most bytes of one sendFile(). */
const MOST = 2 ** 30;

/** Asserts that an event lies in a block of a port's, where an OVERLAPPED may: its address goes to the kernel. */
export function checkEvent({ block, offset }: Overlapped): void {
  if (!NativeBlock.has(block, offset, EVENT_SIZE) || offset % 16 !== 0) assert.fail(`an event at ${offset}`);
}

/** Asserts that a range is one that sendFile() takes: on its way to the kernel a negative length is a huge one. */
export function checkFileRange(offset: number, length: number): void {
  assert(Number.isInteger(length) && length > 0 && length <= MOST, `${length} bytes of a file`);
  assert(Number.isSafeInteger(offset) && offset >= 0, `a file from ${offset}`);
}

/** Asserts that this may be a descriptor, or a SOCKET. Whether it is one, the kernel knows. */
export function checkHandle(handle: number): void {
  assert(Number.isSafeInteger(handle) && handle >= 0, 'what is adopted must be a handle');
}
