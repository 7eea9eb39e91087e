// Winsock's sockets: how they are made, bound and closed, and their addresses.

import { endpointText } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import { applyOptions, SOCKET_OPTIONS } from '../contract/options.js';
import type { Endpoint, ListenOptions, SocketOptions } from '../contract/port.js';
import { disown, Owned, own, taken } from '../native/ledger.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../native/sockaddr.js';
import { dropPosted } from '../port/handed-posts.js';
import * as c from './constants.js';
import { win32Error } from './errors.js';
import { WSAPROTOCOL_INFOW } from './layout.js';
import { applyOption, assertHandle, ioctl, setIPv6Only } from './socket-options.js';
import * as ws2 from './ws2_32.js';

/** TCP_INITIAL_RTO_PARAMETERS: the round-trip time as it is, and no second SYN. */
const NO_SYN_RETRANSMISSIONS = Buffer.from([0xff, 0xff, 0xfe, 0]);

/** A new socket for overlapped operations, which child processes do not inherit; of TCP unless `type` says otherwise. */
export function createSocket(
  family: 4 | 6,
  action: string,
  type: number = c.SOCK_STREAM,
  protocol: number = c.IPPROTO_TCP,
): number {
  const flags = c.WSA_FLAG_OVERLAPPED | c.WSA_FLAG_NO_HANDLE_INHERIT;
  taken[0] = ws2.WSASocketW(family === 6 ? c.AF_INET6 : c.AF_INET, type, protocol, null, 0, flags);
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

/** Closes a handle, which may be that of no socket. A failure (of the system's network, for example) changes nothing. */
export function discardHandle(handle: number): void {
  dropPosted(handle);
  disown(Owned.Handle, handle);
  ws2.closesocket(handle);
}

/** A bound and listening socket. */
export function createListener(local: Endpoint, options: ListenOptions): number {
  const action = `listen on ${endpointText(local)}`;
  if (options.reusePort) throw new IocpError(action, 'Windows has no SO_REUSEPORT', 'ENOTSUP', 'setsockopt');
  const handle = createSocket(local.family, action);
  return orClose(handle, () => {
    // Not SO_REUSEADDR: two listeners would share the port. Not SO_EXCLUSIVEADDRUSE: a server that starts again might fail
    // while connections of its last run are still in TIME_WAIT.
    if (local.family === 6) setIPv6Only(handle, options.ipv6Only === true, action);
    // Accepted sockets get these one by one, too. Here a bad option fails early, and the window of new connections is set.
    applyOptions(applyOption, handle, options, SOCKET_OPTIONS, action);
    bindTo(handle, local, action);
    if (ws2.listen(handle, backlogOf(options.backlog ?? 4096)) !== 0)
      throw win32Error(action, 'listen', ws2.WSAGetLastError());
    return handle;
  });
}

/** The backlog for listen(): it reduces a plain number to 200. A higher one is written as SOMAXCONN_HINT. */
export function backlogOf(wanted: number): number {
  return wanted <= c.SOMAXCONN ? wanted : -Math.min(wanted, 65_535);
}

/**
 * A bound socket, for ConnectEx. With `loopback` a SYN that is refused is not sent again: that would take two seconds.
 */
export function createConnector(family: 4 | 6, options: SocketOptions, loopback: boolean, action: string): number {
  const handle = createSocket(family, action);
  return orClose(handle, () => {
    // Since Windows 10 1709. Elsewhere a refusal takes these two seconds.
    if (loopback) ioctl(handle, c.SIO_TCP_INITIAL_RTO, NO_SYN_RETRANSMISSIONS);
    applyOptions(applyOption, handle, options, SOCKET_OPTIONS, action);
    if (family === 6) setIPv6Only(handle, false, action);
    bindTo(handle, { address: family === 6 ? '::' : '0.0.0.0', family, port: 0 }, action);
    return handle;
  });
}

/** Gives an accepted socket the listener's context, without which getpeername and shutdown fail, and its options. */
export function finishAccept(handle: number, listener: number, options: SocketOptions): void {
  const context = Buffer.alloc(8);
  context.writeBigInt64LE(BigInt(listener));
  if (ws2.setsockopt(handle, c.SOL_SOCKET, c.SO_UPDATE_ACCEPT_CONTEXT, context, 8) !== 0) {
    throw win32Error('accept a connection', 'setsockopt', ws2.WSAGetLastError());
  }
  applyOptions(applyOption, handle, options, SOCKET_OPTIONS, 'accept a connection');
}

/** From now on ordinary calls fail with WSAEWOULDBLOCK instead of waiting; overlapped ones are as before. Throws an IocpError. */
export function setNonBlocking(handle: number, action: string): void {
  const one = Buffer.from([1, 0, 0, 0]);
  if (ws2.ioctlsocket(handle, c.FIONBIO, one) !== 0) throw win32Error(action, 'ioctlsocket', ws2.WSAGetLastError());
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
  discardHandle(handle);
}

/** Whether the provider's sockets are handles of the file system: only then may packets be skipped on success. */
export function hasIfsHandles(handle: number): boolean {
  const info = Buffer.alloc(WSAPROTOCOL_INFOW.size);
  const length = Buffer.alloc(4);
  length.writeInt32LE(info.length);
  if (ws2.getsockopt(handle, c.SOL_SOCKET, c.SO_PROTOCOL_INFOW, info, length) !== 0) return false;
  return (info.readUInt32LE(WSAPROTOCOL_INFOW.dwServiceFlags1) & c.XP1_IFS_HANDLES) !== 0;
}

export function bindTo(handle: number, local: Endpoint, action: string): void {
  const address = Buffer.alloc(SOCKADDR_SIZE);
  const length = writeSockaddr(local, address, 0, c.AF_INET6);
  if (ws2.bind(handle, address, length) !== 0) throw win32Error(action, 'bind', ws2.WSAGetLastError());
}

export function endpointOf(handle: number, syscall: string, ask: typeof ws2.getsockname): Endpoint {
  assertHandle(handle, 'read an address', syscall);
  const address = Buffer.alloc(SOCKADDR_SIZE);
  const length = Buffer.alloc(4);
  length.writeInt32LE(SOCKADDR_SIZE);
  if (ask(handle, address, length) !== 0) throw win32Error('read an address', syscall, ws2.WSAGetLastError());
  return readSockaddr(address, 0);
}
