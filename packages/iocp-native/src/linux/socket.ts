// Sockets of an io_uring port: their addresses, options and state. Creating and asking are ordinary system calls;
// everything that may wait goes through the ring (port.ts).

import assert from 'node:assert';
import type { Endpoint, ListenOptions, Overlapped, PortSocket, SocketOptions } from '../contract.js';
import { endpointText } from '../endpoint.js';
import { disown, Owned, own, taken } from '../ledger.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../sockaddr.js';
import { linuxError } from './errors.js';
import * as abi from './layout.js';
import {
  bindSocket,
  check,
  close,
  errno,
  getpeername,
  getsockname,
  getsockopt,
  listen,
  setsockopt,
  socket,
} from './libc.js';

export class UringSocket implements PortSocket {
  handle: number;
  key: unknown = undefined;
  pending = 0;
  /** Place in the port's table, which the kernel sends back with each completion. */
  readonly index: number;
  receiving: Overlapped | null = null;
  sending: Overlapped | null = null;
  connecting: Overlapped | null = null;
  /** Bytes that the send in flight is for. */
  sendBytes = 0;
  /** cancel() was asked of the receive stream. */
  receiveCanceled = false;
  /** The receive stream waits for a free buffer and is not with the kernel. */
  starved = false;
  shuttingDown = false;
  closing = false;
  /** Where the ledger has it while its close is with the ring; -1 for nowhere. */
  record = -1;
  /** A listener's own state; null for a connection. */
  readonly listener: ListenerState | null;

  constructor(handle: number, index: number, listener: ListenerState | null) {
    this.handle = handle;
    this.index = index;
    this.listener = listener;
  }

  localEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getsockname', getsockname);
  }

  remoteEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getpeername', getpeername);
  }

  setNoDelay(on: boolean): void {
    setOption(this.handle, abi.IPPROTO_TCP, abi.TCP_NODELAY, on ? 1 : 0, 'set TCP_NODELAY');
  }

  setKeepAlive(seconds: number): void {
    setOption(this.handle, abi.SOL_SOCKET, abi.SO_KEEPALIVE, seconds > 0 ? 1 : 0, 'set SO_KEEPALIVE');
    if (seconds > 0) setOption(this.handle, abi.IPPROTO_TCP, abi.TCP_KEEPIDLE, seconds, 'set TCP_KEEPIDLE');
  }
}

export function endpointOf(handle: number, syscall: string, ask: typeof getsockname): Endpoint {
  const address = Buffer.alloc(SOCKADDR_SIZE);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(SOCKADDR_SIZE, 0);
  check(ask(handle, address, length), 'read an address', syscall);
  return readSockaddr(address, 0);
}

/** A listener keeps one multishot accept with the kernel while accepts wait, and matches the two in order. */
export class ListenerState {
  /** Events of accepts that wait, oldest first. */
  readonly waiting: Overlapped[] = [];
  /** Connections that came with no accept waiting, oldest first. */
  readonly ready: number[] = [];
  /** The multishot accept is with the kernel. */
  armed = false;
  /** What it accepts is handed out as a number, for a port of any thread. */
  readonly detached: boolean;

  constructor(detached: boolean) {
    this.detached = detached;
  }
}

/** A new TCP socket. */
export function createSocket(family: 4 | 6, options: SocketOptions, action: string): number {
  const type = abi.SOCK_STREAM | abi.SOCK_CLOEXEC;
  taken[0] = socket(family === 6 ? abi.AF_INET6 : abi.AF_INET, type, 0);
  const fd = check(taken[0], action, 'socket');
  own(Owned.Handle, fd);
  try {
    if (options.noDelay !== false) setOption(fd, abi.IPPROTO_TCP, abi.TCP_NODELAY, 1, action);
    if (options.keepAlive) {
      setOption(fd, abi.SOL_SOCKET, abi.SO_KEEPALIVE, 1, action);
      setOption(fd, abi.IPPROTO_TCP, abi.TCP_KEEPIDLE, options.keepAlive, action);
    }
    return fd;
  } catch (error) {
    discardHandle(fd);
    throw error;
  }
}

/** A bound and listening socket. What is set on it here, the sockets that it accepts inherit. */
export function createListener(local: Endpoint, options: ListenOptions): number {
  const action = `listen on ${endpointText(local)}`;
  const fd = createSocket(local.family, options, action);
  try {
    setOption(fd, abi.SOL_SOCKET, abi.SO_REUSEADDR, 1, action);
    if (options.reusePort) setOption(fd, abi.SOL_SOCKET, abi.SO_REUSEPORT, 1, action);
    if (local.family === 6) setOption(fd, abi.IPPROTO_IPV6, abi.IPV6_V6ONLY, options.ipv6Only ? 1 : 0, action);
    const address = Buffer.alloc(SOCKADDR_SIZE);
    check(bindSocket(fd, address, writeSockaddr(local, address, 0, abi.AF_INET6)), action, 'bind');
    check(listen(fd, options.backlog ?? 4096), action, 'listen');
    return fd;
  } catch (error) {
    discardHandle(fd);
    throw error;
  }
}

/** Closes what no operation was started on, and need not be a socket at all. */
export function discardHandle(fd: number): void {
  disown(Owned.Handle, fd);
  close(fd);
}

/** close() will discard what is unsent and send RST. Fails harmlessly on a socket that is past caring. */
export function setReset(fd: number): void {
  const linger = Buffer.alloc(8);
  linger.writeInt32LE(1, 0);
  const result = setsockopt(fd, abi.SOL_SOCKET, abi.SO_LINGER, linger, 8);
  assert(result === 0, `setsockopt SO_LINGER failed with ${errno()}`);
}

/** The error that is pending on a socket, which asking clears; 0 for none. */
export function pendingError(fd: number): number {
  const value = Buffer.alloc(4);
  const length = Buffer.from([4, 0, 0, 0]);
  const result = getsockopt(fd, abi.SOL_SOCKET, abi.SO_ERROR, value, length);
  return result < 0 ? errno() : value.readInt32LE(0);
}

function setOption(fd: number, level: number, name: number, value: number, action: string): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value, 0);
  if (setsockopt(fd, level, name, bytes, 4) < 0) throw linuxError(action, 'setsockopt', errno());
}
