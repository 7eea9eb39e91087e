// File descriptors on Linux: taking them away from this process for a while, and what is in a pipe.

import { closeSync, openSync } from 'node:fs';
import { koffi } from '../../src/native/koffi.js';

const RLIMIT_NOFILE = 7;
const FIONREAD = 0x541b;

/** From now on nothing can be opened. Gives the function that ends this. */
export function exhaustDescriptors(): () => void {
  const library = koffi().load(null);
  const getrlimit = library.func('getrlimit', 'int', ['int', 'void *']);
  const setrlimit = library.func('setrlimit', 'int', ['int', 'void *']);
  const before = Buffer.alloc(16);
  if (getrlimit(RLIMIT_NOFILE, before) !== 0) throw new Error('getrlimit failed');
  // The lowest free number: everything below it is in use.
  const free = openSync('/dev/null', 'r');
  closeSync(free);
  const none = Buffer.from(before);
  none.writeBigUInt64LE(BigInt(free), 0);
  if (setrlimit(RLIMIT_NOFILE, none) !== 0) throw new Error('setrlimit failed');
  return () => {
    if (setrlimit(RLIMIT_NOFILE, before) !== 0) throw new Error('setrlimit failed');
  };
}

/** Bytes in a pipe, by either of its ends. */
export function unreadBytes(fd: number): number {
  const count = Buffer.alloc(4);
  const ioctl = koffi().load(null).func('int ioctl(int, unsigned long, void *)');
  if (ioctl(fd, FIONREAD, count) !== 0) throw new Error('ioctl failed');
  return count.readInt32LE();
}
