// The system calls of the hot path, through koffi. Each takes numbers or an array, and gives a number, so a call allocates nothing.

import { bindsLater } from '../native/bindings.js';
import { bound, type Native } from './libc.js';

/** System calls that operations make. Each gives -1 for an error; errno() tells which. */
export interface Calls {
  readonly epoll_wait: Native<[epoll: number, events: number, most: number, timeout: number]>;
  readonly accept4: Native<[fd: number, address: number, length: number, flags: number]>;
  readonly recv: Native<[fd: number, into: number, length: number, flags: number]>;
  /** recv() into an array's own memory, which is written before the call returns. */
  readonly recvArray: Native<[fd: number, into: Uint8Array, length: number, flags: number]>;
  readonly send: Native<[fd: number, from: number, length: number, flags: number]>;
  /** send() from an array's own memory, which is read before the call returns. */
  readonly sendArray: Native<[fd: number, from: Uint8Array, length: number, flags: number]>;
  /** The address of an array, as the result of memmove() of no bytes to it. Good until JavaScript may take the array's memory away. */
  readonly addressOf: Native<[array: Uint8Array, from: number, length: 0]>;
  readonly sendmsg: Native<[fd: number, message: number, flags: number]>;
  readonly recvmmsg: Native<[fd: number, messages: number, count: number, flags: number, timeout: number]>;
  readonly io_submit: Native<[number: number, context: number, count: number, addresses: number]>;
  readonly io_getevents: Native<
    [number: number, context: number, least: number, most: number, events: number, timeout: number]
  >;
  readonly sendfile: Native<[to: number, file: number, offset: number, count: number]>;
}

let calls: Calls | undefined;

/** Binds them, once a thread. Throws an IocpError where this is not Linux. */
export function bindCalls(): Calls {
  calls ??= {
    epoll_wait: bound('int epoll_wait(int, intptr_t, int, int)'),
    accept4: bound('int accept4(int, intptr_t, intptr_t, int)'),
    recv: bound('long recv(int, intptr_t, size_t, int)'),
    recvArray: bound('long recv(int, void *, size_t, int)'),
    send: bound('long send(int, intptr_t, size_t, int)'),
    sendArray: bound('long send(int, void *, size_t, int)'),
    addressOf: bound('intptr_t memmove(void *, intptr_t, size_t)'),
    sendmsg: bound('long sendmsg(int, intptr_t, int)'),
    recvmmsg: bound('int recvmmsg(int, intptr_t, uint32_t, int, intptr_t)'),
    io_submit: bound('long syscall(long, intptr_t, long, intptr_t)'),
    io_getevents: bound('long syscall(long, intptr_t, long, long, intptr_t, intptr_t)'),
    sendfile: bound('long sendfile(int, int, intptr_t, size_t)'),
  };
  return calls;
}

if (process.platform === 'linux') bindsLater(bindCalls);
