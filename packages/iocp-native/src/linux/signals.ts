// Signals to a thread: an eventfd, or a pipe, is readable while it is signalled.

import { EAGAIN, linuxError } from './errors.js';
import { errno, read, write } from './libc.js';

const one = Buffer.from(new BigUint64Array([1n]).buffer);
const scratch = Buffer.from(new ArrayBuffer(4096));

/** Signals an eventfd, or a pipe by its write end. From any thread. */
export function signal(fd: number): void {
  // EAGAIN: it is full, so it is signalled already.
  if (write(fd, one, one.length) < 0 && errno() !== EAGAIN) throw linuxError('wake a port', 'write', errno());
}

/** Clears an eventfd, or a pipe by its read end. The descriptor is non-blocking. */
export function clearSignal(fd: number): void {
  let taken: number;
  do taken = read(fd, scratch, scratch.length);
  while (taken === scratch.length);
  if (taken < 0 && errno() !== EAGAIN) throw linuxError('wait for a port', 'read', errno());
}
