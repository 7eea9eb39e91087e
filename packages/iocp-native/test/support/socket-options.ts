// What the system says about a socket that has a number.

import { koffi } from '../../src/koffi.js';

const windows = process.platform === 'win32';
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SOL_SOCKET = windows ? 0xffff : 1;
const SO_KEEPALIVE = windows ? 8 : 9;

function option(handle: number, level: number, name: number): boolean {
  const library = koffi().load(windows ? 'ws2_32.dll' : null);
  const getsockopt = library.func('getsockopt', 'int', [
    windows ? 'uintptr_t' : 'int',
    'int',
    'int',
    'void *',
    'void *',
  ]);
  const value = Buffer.alloc(4);
  const length = Buffer.from([4, 0, 0, 0]);
  if (getsockopt(handle, level, name, value, length) !== 0) throw new Error(`getsockopt of ${handle} failed`);
  // Windows may answer with one byte.
  return value[0] !== 0;
}

export function hasNoDelay(handle: number): boolean {
  return option(handle, IPPROTO_TCP, TCP_NODELAY);
}

export function hasKeepAlive(handle: number): boolean {
  return option(handle, SOL_SOCKET, SO_KEEPALIVE);
}
