// Sockets as Linux has them, whichever kernel queue serves their operations: creating, binding, options and addresses are
// ordinary system calls, which do not wait.

import assert from 'node:assert';
import { endpointText, isPipe } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import { applyOptions, SOCKET_OPTIONS } from '../contract/options.js';
import type { Endpoint, ListenOptions, PipeEndpoint, SocketOptions } from '../contract/port.js';
import { disown, Owned, own, taken } from '../native/ledger.js';
import { dropPosted } from '../port/handed-posts.js';
import { ADDRESS_SIZE, readAddress, writeAddress } from './address.js';
import { EAGAIN, linuxError } from './errors.js';
import * as abi from './layout.js';
import {
  bindSocket,
  check,
  close,
  connectSocket,
  errno,
  fcntl,
  type getsockname,
  listen,
  setsockopt,
  socket,
} from './libc.js';
import { applyOption, setOption } from './socket-options.js';

/** The endpoint that getsockname() or getpeername() gives. Throws an IocpError. */
export function endpointOf(handle: number, syscall: string, ask: typeof getsockname): Endpoint {
  const address = Buffer.alloc(ADDRESS_SIZE);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(ADDRESS_SIZE, 0);
  check(ask(handle, address, length), 'read an address', syscall);
  return readAddress(address, syscall);
}

/** A new socket of the endpoint's family. `type` is SOCK_STREAM or SOCK_DGRAM, and flags. Throws an IocpError. */
export function openSocket(at: Endpoint | PipeEndpoint, type: number, action: string): number {
  const family = isPipe(at) ? abi.AF_UNIX : at.family === 6 ? abi.AF_INET6 : abi.AF_INET;
  taken[0] = socket(family, type | abi.SOCK_CLOEXEC, 0);
  const fd = check(taken[0], action, 'socket');
  own(Owned.Handle, fd);
  return fd;
}

/** A new stream socket of the endpoint's family, with its options. `flags` are SOCK_NONBLOCK or 0. Throws an IocpError. */
export function createSocket(
  at: Endpoint | PipeEndpoint,
  options: SocketOptions,
  action: string,
  flags: number,
): number {
  const fd = openSocket(at, abi.SOCK_STREAM | flags, action);
  try {
    applyOptions(applyOption, fd, options, SOCKET_OPTIONS, action);
    return fd;
  } catch (error) {
    discardHandle(fd);
    throw error;
  }
}

/**
 * A bound and listening socket. Accepted sockets inherit the options that are set here. `flags` are SOCK_NONBLOCK or 0.
 * Throws an IocpError.
 */
export function createListener(local: Endpoint | PipeEndpoint, options: ListenOptions, flags: number): number {
  const action = `listen on ${endpointText(local)}`;
  const address = Buffer.alloc(ADDRESS_SIZE);
  const length = writeAddress(local, address, 0, action);
  if (isPipe(local) && options.reusePort) {
    throw new IocpError(action, 'a path has one listener', 'ENOTSUP', 'setsockopt');
  }
  const fd = createSocket(local, options, action, flags);
  try {
    if (!isPipe(local)) {
      setOption(fd, abi.SOL_SOCKET, abi.SO_REUSEADDR, 1, action);
      if (options.reusePort) setOption(fd, abi.SOL_SOCKET, abi.SO_REUSEPORT, 1, action);
      if (local.family === 6) setOption(fd, abi.IPPROTO_IPV6, abi.IPV6_V6ONLY, options.ipv6Only ? 1 : 0, action);
    }
    check(bindSocket(fd, address, length), action, 'bind');
    check(listen(fd, options.backlog ?? 4096), action, 'listen');
    return fd;
  } catch (error) {
    discardHandle(fd);
    throw error;
  }
}

/**
 * Connects a local socket: the kernel does that at once. `flags` are those that the socket was made with. Returns false when
 * the listener's backlog is full. A blocking connect would then wait in the kernel for room in the backlog; io_uring does that
 * on an io-wq thread, where a cancel may not reach it. Throws an IocpError (ENOENT, ECONNREFUSED ...).
 */
export function connectLocal(fd: number, remote: PipeEndpoint, flags: number): boolean {
  const action = `connect to ${endpointText(remote)}`;
  const address = Buffer.alloc(ADDRESS_SIZE);
  const length = writeAddress(remote, address, 0, action);
  check(fcntl(fd, abi.F_SETFL, abi.O_NONBLOCK), action, 'fcntl');
  const failed = connectSocket(fd, address, length) < 0 ? errno() : 0;
  check(fcntl(fd, abi.F_SETFL, flags), action, 'fcntl');
  if (failed !== 0 && failed !== EAGAIN) throw linuxError(action, 'connect', failed);
  return failed === 0;
}

/** Closes a handle on which no operation was started. It may be any number, and any kind of file. */
export function discardHandle(fd: number): void {
  dropPosted(fd);
  disown(Owned.Handle, fd);
  close(fd);
}

/** From now on close() discards the bytes that are unsent, and sends RST. */
export function setReset(fd: number): void {
  const linger = Buffer.alloc(8);
  linger.writeInt32LE(1, 0);
  const result = setsockopt(fd, abi.SOL_SOCKET, abi.SO_LINGER, linger, 8);
  assert(result === 0, `setsockopt SO_LINGER failed with ${errno()}`);
}
