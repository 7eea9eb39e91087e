// Sockets of an io_uring port: their addresses, options and state. Creating and asking are ordinary system calls;
// everything that may wait goes through the ring (port.ts).

import assert from 'node:assert';
import { endpointText, isPipe } from '../../contract/endpoint.js';
import { IocpError } from '../../contract/errors.js';
import type {
  Endpoint,
  KeepAlive,
  ListenOptions,
  Overlapped,
  PipeEndpoint,
  PortSocket,
  SocketOptions,
} from '../../contract/port.js';
import { disown, Owned, own, taken } from '../../native/ledger.js';
import type { DatagramState } from '../../port/datagrams.js';
import { dropPosted } from '../../port/handed-posts.js';
import { SocketFile } from '../../port/socket-file.js';
import { ADDRESS_SIZE, readAddress, writeAddress } from '../address.js';
import { EAGAIN, ENOTSUP, linuxError } from '../errors.js';
import * as abi from '../layout.js';
import {
  bindSocket,
  check,
  close,
  connectSocket,
  errno,
  fcntl,
  getpeername,
  getsockname,
  listen,
  setsockopt,
  socket,
} from '../libc.js';
import type { FileInFlight } from './file-sender.js';

export class UringSocket implements PortSocket {
  handle: number;
  key: unknown = undefined;
  pending = 0;
  /** Place in the port's table, which the kernel sends back with each completion. */
  readonly index: number;
  receiving: Overlapped | null = null;
  sending: Overlapped | null = null;
  connecting: Overlapped | null = null;
  /** The file that `sending` sends; null when that sends from memory. */
  file: FileInFlight | null = null;
  /** Bytes of the send in flight that the kernel has not taken yet, and those that it has. */
  sendLeft = 0;
  sent = 0;
  /** Where they lie; 0 when a msghdr in the event tells. */
  sendAddress = 0;
  /** cancel() was asked of the send. */
  sendCanceled = false;
  /** The send is not with the kernel until the peer has taken something (see room.ts). */
  waitsForRoom = false;
  /** It has waited before: the epoll knows it. */
  inEpoll = false;
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
  /** A datagram socket's own; null for others. */
  readonly datagrams: DatagramState | null;

  constructor(handle: number, index: number, listener: ListenerState | null, datagrams: DatagramState | null) {
    this.handle = handle;
    this.index = index;
    this.listener = listener;
    this.datagrams = datagrams;
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

  setKeepAlive(keepAlive: number | KeepAlive): void {
    applyKeepAlive(this.handle, keepAlive, 'set SO_KEEPALIVE');
  }
}

export function endpointOf(handle: number, syscall: string, ask: typeof getsockname): Endpoint {
  const address = Buffer.alloc(ADDRESS_SIZE);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(ADDRESS_SIZE, 0);
  check(ask(handle, address, length), 'read an address', syscall);
  return readAddress(address, syscall);
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
  /** The file of a local listener, to be removed with it. */
  readonly file: SocketFile | null;

  /** @param local where it is bound already. */
  constructor(detached: boolean, local: Endpoint | PipeEndpoint) {
    this.detached = detached;
    this.file = isPipe(local) ? SocketFile.of(local.path) : null;
  }
}

/** A new socket of the family that an endpoint is of, a stream's unless `type` says otherwise. */
export function createSocket(
  at: Endpoint | PipeEndpoint,
  options: SocketOptions,
  action: string,
  type: number = abi.SOCK_STREAM,
): number {
  const family = isPipe(at) ? abi.AF_UNIX : at.family === 6 ? abi.AF_INET6 : abi.AF_INET;
  taken[0] = socket(family, type | abi.SOCK_CLOEXEC, 0);
  const fd = check(taken[0], action, 'socket');
  own(Owned.Handle, fd);
  try {
    const { noDelay, keepAlive, sendBufferSize, receiveBufferSize } = options;
    if (sendBufferSize !== undefined) setOption(fd, abi.SOL_SOCKET, abi.SO_SNDBUF, sendBufferSize, action);
    if (receiveBufferSize !== undefined) setOption(fd, abi.SOL_SOCKET, abi.SO_RCVBUF, receiveBufferSize, action);
    if (noDelay !== false && !isPipe(at)) setOption(fd, abi.IPPROTO_TCP, abi.TCP_NODELAY, 1, action);
    if (keepAlive) applyKeepAlive(fd, keepAlive, action);
    return fd;
  } catch (error) {
    discardHandle(fd);
    throw error;
  }
}

/** A bound and listening socket. What is set on it here, the sockets that it accepts inherit. */
export function createListener(local: Endpoint | PipeEndpoint, options: ListenOptions): number {
  const action = `listen on ${endpointText(local)}`;
  const address = Buffer.alloc(ADDRESS_SIZE);
  const length = writeAddress(local, address, 0, action);
  if (isPipe(local) && options.reusePort) {
    throw new IocpError(action, 'a path has one listener', 'ENOTSUP', 'setsockopt');
  }
  const fd = createSocket(local, options, action);
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
 * Connects a local socket, which the kernel does at once. False when the listener's backlog is full: an io_uring would wait
 * for room on a thread of the kernel's, which it may fail to cancel. Throws an IocpError (ENOENT, ECONNREFUSED ...).
 */
export function connectLocal(fd: number, remote: PipeEndpoint): boolean {
  const action = `connect to ${endpointText(remote)}`;
  const address = Buffer.alloc(ADDRESS_SIZE);
  const length = writeAddress(remote, address, 0, action);
  check(fcntl(fd, abi.F_SETFL, abi.O_NONBLOCK), action, 'fcntl');
  const failed = connectSocket(fd, address, length) < 0 ? errno() : 0;
  check(fcntl(fd, abi.F_SETFL, 0), action, 'fcntl');
  if (failed !== 0 && failed !== EAGAIN) throw linuxError(action, 'connect', failed);
  return failed === 0;
}

/** Closes what no operation was started on, and need not be a socket at all. */
export function discardHandle(fd: number): void {
  dropPosted(fd);
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

/** A close that cuts a send short is a reset: no peer may take what is left for the whole. */
export function resetIfCut(socket: UringSocket, error: IocpError | null): void {
  if (socket.closing && error !== null) setReset(socket.handle);
}

function applyKeepAlive(fd: number, keepAlive: number | KeepAlive, action: string): void {
  const { idle, interval, count }: KeepAlive = typeof keepAlive === 'number' ? { idle: keepAlive } : keepAlive;
  setOption(fd, abi.SOL_SOCKET, abi.SO_KEEPALIVE, idle > 0 ? 1 : 0, action);
  if (idle > 0) setOption(fd, abi.IPPROTO_TCP, abi.TCP_KEEPIDLE, idle, action);
  if (interval !== undefined) setOption(fd, abi.IPPROTO_TCP, abi.TCP_KEEPINTVL, interval, action);
  if (count !== undefined) setOption(fd, abi.IPPROTO_TCP, abi.TCP_KEEPCNT, count, action);
}

export function setOption(fd: number, level: number, name: number, value: number, action: string): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value, 0);
  if (setsockopt(fd, level, name, bytes, 4) >= 0) return;
  const code = errno();
  // What a local socket says of the options that are TCP's.
  if (level === abi.IPPROTO_TCP && code === ENOTSUP) return;
  throw linuxError(action, 'setsockopt', code);
}
