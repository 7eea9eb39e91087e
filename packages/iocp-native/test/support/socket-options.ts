// What the system says about a socket that has a number.

import { koffi } from '../../src/native/koffi.js';

const windows = process.platform === 'win32';
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SOL_SOCKET = windows ? 0xffff : 1;
const SO_KEEPALIVE = windows ? 8 : 9;
const SO_SNDBUF = windows ? 0x1001 : 7;
const SO_RCVBUF = windows ? 0x1002 : 8;
const TCP_KEEPIDLE = windows ? 3 : 4;
const TCP_KEEPINTVL = windows ? 17 : 5;
const TCP_KEEPCNT = windows ? 16 : 6;

function option(handle: number, level: number, name: number): number {
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
  return value.readInt32LE(0);
}

export function hasNoDelay(handle: number): boolean {
  // Windows may answer with one byte.
  return (option(handle, IPPROTO_TCP, TCP_NODELAY) & 0xff) !== 0;
}

export function hasKeepAlive(handle: number): boolean {
  return (option(handle, SOL_SOCKET, SO_KEEPALIVE) & 0xff) !== 0;
}

export function keepAliveOf(handle: number): { idle: number; interval: number; count: number } {
  const of = (name: number) => option(handle, IPPROTO_TCP, name);
  return { idle: of(TCP_KEEPIDLE), interval: of(TCP_KEEPINTVL), count: of(TCP_KEEPCNT) };
}

/** IPV6_TCLASS of a socket of IPv6, else IP_TOS. On Linux. */
export function tosOf(handle: number, family: 4 | 6): number {
  return family === 6 ? option(handle, 41, 67) : option(handle, 0, 1);
}

/** In the bytes that were asked for: Linux answers with twice as many. */
export function bufferSizesOf(handle: number): { sendBufferSize: number; receiveBufferSize: number } {
  const of = (name: number) => option(handle, SOL_SOCKET, name) / (process.platform === 'linux' ? 2 : 1);
  return { sendBufferSize: of(SO_SNDBUF), receiveBufferSize: of(SO_RCVBUF) };
}
