// Sockets of an IOCP port: their options, addresses and state. What may wait goes through the port.

import assert from 'node:assert';
import type { Endpoint, ListenOptions, Overlapped, PortSocket, SocketOptions } from '../contract.js';
import { IocpError } from '../errors.js';
import { disown, Owned, own, taken } from '../ledger.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../sockaddr.js';
import * as c from './constants.js';
import { win32Error } from './errors.js';
import { WSAPROTOCOL_INFOW } from './layout.js';
import * as ws2 from './ws2_32.js';

/** Where a receive stream is. */
export const Stream = {
  /** There is none, or its last packet is queued. */
  None: 0,
  /** A WSARecv is with the kernel. */
  Kernel: 1,
  /** A packet with data is queued; the stream goes on when it has been dequeued. */
  Queued: 2,
  /** The next dequeue() starts the next WSARecv. */
  Rearm: 3,
  /** Data is there, and no receive buffer. */
  Starved: 4,
} as const;
export type Stream = (typeof Stream)[keyof typeof Stream];

/** An AcceptEx in flight: its event, and the socket that it accepts into. */
export interface PendingAccept {
  readonly event: Overlapped;
  readonly handle: number;
}

export interface ListenerState {
  readonly family: 4 | 6;
  readonly options: ListenOptions;
  /** By the address of the OVERLAPPED. */
  readonly accepts: Map<number, PendingAccept>;
}

export class Win32Socket implements PortSocket {
  handle: number;
  key: unknown = undefined;
  pending = 0;
  /** Place in the port's table, and which user of that place this is: together the kernel's completion key. */
  readonly index: number;
  readonly generation: number;
  /** The kernel queues no packet for what succeeds at once. */
  readonly skipsPacketOnSuccess: boolean;
  readonly listener: ListenerState | null;
  receiving: Overlapped | null = null;
  sending: Overlapped | null = null;
  connecting: Overlapped | null = null;
  stream: Stream = Stream.None;
  /** The receive buffer that the WSARecv in flight fills; -1 for one of zero bytes. */
  receiveBuffer = -1;
  /** The last receive filled its buffer, so more is likely to be there. */
  receiveFull = false;
  receiveCanceled = false;
  shuttingDown = false;
  closing = false;
  /** Close with RST. */
  reset = false;

  constructor(handle: number, index: number, generation: number, skips: boolean, listener: ListenerState | null) {
    this.handle = handle;
    this.index = index;
    this.generation = generation;
    this.skipsPacketOnSuccess = skips;
    this.listener = listener;
  }

  localEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getsockname', ws2.getsockname);
  }

  remoteEndpoint(): Endpoint {
    return endpointOf(this.handle, 'getpeername', ws2.getpeername);
  }

  setNoDelay(on: boolean): void {
    setOption(this.handle, c.IPPROTO_TCP, c.TCP_NODELAY, on ? 1 : 0, 'set TCP_NODELAY');
  }

  setKeepAlive(seconds: number): void {
    setOption(this.handle, c.SOL_SOCKET, c.SO_KEEPALIVE, seconds > 0 ? 1 : 0, 'set SO_KEEPALIVE');
    if (seconds > 0) setOption(this.handle, c.IPPROTO_TCP, c.TCP_KEEPALIVE, seconds, 'set TCP_KEEPALIVE');
  }
}

/** A new TCP socket for overlapped operations, which child processes do not inherit. */
export function createSocket(family: 4 | 6, action: string): number {
  const flags = c.WSA_FLAG_OVERLAPPED | c.WSA_FLAG_NO_HANDLE_INHERIT;
  taken[0] = ws2.WSASocketW(family === 6 ? c.AF_INET6 : c.AF_INET, c.SOCK_STREAM, c.IPPROTO_TCP, null, 0, flags);
  const handle = taken[0];
  if (handle === c.INVALID_SOCKET) throw win32Error(action, 'WSASocketW', ws2.WSAGetLastError());
  own(Owned.Handle, handle);
  return handle;
}

/** Runs steps on a new socket, which is closed again when one of them throws. */
export function orClose<T>(handle: number, steps: () => T): T {
  try {
    return steps();
  } catch (error) {
    discardHandle(handle);
    throw error;
  }
}

/** Closes what need not be a socket at all. */
export function discardHandle(handle: number): void {
  disown(Owned.Handle, handle);
  ws2.closesocket(handle);
}

export function setOptions(handle: number, options: SocketOptions, action: string): void {
  if (options.noDelay !== false) setOption(handle, c.IPPROTO_TCP, c.TCP_NODELAY, 1, action);
  if (options.keepAlive) {
    setOption(handle, c.SOL_SOCKET, c.SO_KEEPALIVE, 1, action);
    setOption(handle, c.IPPROTO_TCP, c.TCP_KEEPALIVE, options.keepAlive, action);
  }
}

/** A bound and listening socket. */
export function createListener(local: Endpoint, options: ListenOptions): number {
  const action = `listen on ${endpointText(local)}`;
  if (options.reusePort) throw new IocpError(action, 'Windows has no SO_REUSEPORT', 'ENOTSUP', 'setsockopt');
  const handle = createSocket(local.family, action);
  return orClose(handle, () => {
    setOption(handle, c.SOL_SOCKET, c.SO_EXCLUSIVEADDRUSE, 1, action);
    if (local.family === 6) setOption(handle, c.IPPROTO_IPV6, c.IPV6_V6ONLY, options.ipv6Only ? 1 : 0, action);
    bindTo(handle, local, action);
    if (ws2.listen(handle, options.backlog ?? 4096) !== 0) throw win32Error(action, 'listen', ws2.WSAGetLastError());
    return handle;
  });
}

/** A socket for ConnectEx, which wants it bound. */
export function createConnector(family: 4 | 6, options: SocketOptions, action: string): number {
  const handle = createSocket(family, action);
  return orClose(handle, () => {
    setOptions(handle, options, action);
    if (family === 6) setOption(handle, c.IPPROTO_IPV6, c.IPV6_V6ONLY, 0, action);
    bindTo(handle, { address: family === 6 ? '::' : '0.0.0.0', family, port: 0 }, action);
    return handle;
  });
}

/** Gives an accepted socket the listener's context, without which getpeername and shutdown fail, and its options. */
export function finishAccept(handle: number, listener: Win32Socket): void {
  const context = Buffer.alloc(8);
  context.writeBigInt64LE(BigInt(listener.handle));
  if (ws2.setsockopt(handle, c.SOL_SOCKET, c.SO_UPDATE_ACCEPT_CONTEXT, context, 8) !== 0) {
    throw win32Error('accept a connection', 'setsockopt', ws2.WSAGetLastError());
  }
  setOptions(handle, listener.listener!.options, 'accept a connection');
}

/** The error number of giving a connected socket its context; 0 for none. */
export function finishConnect(handle: number): number {
  const failed = ws2.setsockopt(handle, c.SOL_SOCKET, c.SO_UPDATE_CONNECT_CONTEXT, null, 0) !== 0;
  return failed ? ws2.WSAGetLastError() : 0;
}

/** Closes a socket; with `reset`, by RST. */
export function closeHandle(handle: number, reset = false): void {
  if (reset) {
    // SO_LINGER, on, for 0 seconds. It fails on a connection that is gone already.
    ws2.setsockopt(handle, c.SOL_SOCKET, c.SO_LINGER, Buffer.from([1, 0, 0, 0]), 4);
  }
  disown(Owned.Handle, handle);
  const result = ws2.closesocket(handle);
  assert(result === 0, `closesocket failed with ${result && ws2.WSAGetLastError()}`);
}

/** Whether the provider's sockets are handles of the file system: only then may packets be skipped on success. */
export function hasIfsHandles(handle: number): boolean {
  const info = Buffer.alloc(WSAPROTOCOL_INFOW.size);
  const length = Buffer.alloc(4);
  length.writeInt32LE(info.length);
  if (ws2.getsockopt(handle, c.SOL_SOCKET, c.SO_PROTOCOL_INFOW, info, length) !== 0) return false;
  return (info.readUInt32LE(WSAPROTOCOL_INFOW.dwServiceFlags1) & c.XP1_IFS_HANDLES) !== 0;
}

export function endpointText({ address, family, port }: Endpoint): string {
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

function bindTo(handle: number, local: Endpoint, action: string): void {
  const address = Buffer.alloc(SOCKADDR_SIZE);
  const length = writeSockaddr(local, address, 0, c.AF_INET6);
  if (ws2.bind(handle, address, length) !== 0) throw win32Error(action, 'bind', ws2.WSAGetLastError());
}

function setOption(handle: number, level: number, name: number, value: number, action: string): void {
  assertHandle(handle, action, 'setsockopt');
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  if (ws2.setsockopt(handle, level, name, bytes, 4) !== 0) {
    throw win32Error(action, 'setsockopt', ws2.WSAGetLastError());
  }
}

export function endpointOf(handle: number, syscall: string, ask: typeof ws2.getsockname): Endpoint {
  assertHandle(handle, 'read an address', syscall);
  const address = Buffer.alloc(SOCKADDR_SIZE);
  const length = Buffer.alloc(4);
  length.writeInt32LE(SOCKADDR_SIZE);
  if (ask(handle, address, length) !== 0) throw win32Error('read an address', syscall, ws2.WSAGetLastError());
  return readSockaddr(address, 0);
}

function assertHandle(handle: number, action: string, syscall: string): void {
  if (handle < 0) throw new IocpError(action, 'the socket is closed', 'EBADF', syscall);
}
