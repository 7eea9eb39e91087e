// What part of a file may be sent by one operation. On its way to the kernel a negative length is a huge one.

import assert from 'node:assert';

/** The most bytes of one sendFile(). */
const MOST = 2 ** 30;

/** Asserts that a range is one that sendFile() takes. */
export function checkFileRange(offset: number, length: number): void {
  assert(Number.isInteger(length) && length > 0 && length <= MOST, `${length} bytes of a file`);
  assert(Number.isSafeInteger(offset) && offset >= 0, `a file from ${offset}`);
}
