// Sockets of an IOCP port: their options, addresses and state. What may wait goes through the port.

import { endpointText, hasNoAddress } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import type { Endpoint, KeepAlive, ListenOptions, Overlapped, PortSocket, SocketOptions } from '../contract/port.js';
import { disown, Owned, own, taken } from '../native/ledger.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../native/sockaddr.js';
import type { DatagramState } from '../port/datagrams.js';
import { dropPosted } from '../port/handed-posts.js';
import * as c from './constants.js';
import { win32Error } from './errors.js';
import type { FileInFlight } from './file-sender.js';
import { WSAPROTOCOL_INFOW } from './layout.js';
import type { PipeEnd } from './pipe.js';
import type { PipeListenerState } from './pipe-acceptor.js';
import * as ws2 from './ws2_32.js';

/** TCP_INITIAL_RTO_PARAMETERS: the round-trip time as it is, and no second SYN. */
const NO_SYN_RETRANSMISSIONS = Buffer.from([0xff, 0xff, 0xfe, 0]);

/** Where a receive stream is. */
export const Stream = {
  /** There is none, or its last packet is queued. */
  None: 0,
  /** A WSARecv is with the kernel. */
  Kernel: 1,
  /** Packets with data are queued; the stream goes on when they have been dequeued. */
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
  readonly listener: ListenerState | PipeListenerState | null;
  /** Which end of a named pipe this is; null for a socket. */
  readonly pipe: PipeEnd | null;
  /** A datagram socket's own; null for others. */
  readonly datagrams: DatagramState | null;
  /** An instance of a pipe waits for its client: the listener, and the event of its accept. */
  accepting: { readonly listener: Win32Socket; readonly event: Overlapped } | null = null;
  receiving: Overlapped | null = null;
  sending: Overlapped | null = null;
  connecting: Overlapped | null = null;
  stream: Stream = Stream.None;
  /** A pipe takes the pieces of a send one after the other: which is with the kernel, of how many, and what is done. */
  piece = 0;
  pieces = 0;
  piecesBytes = 0;
  /** The file that its send is about; null for any other. */
  file: FileInFlight | null = null;
  /** The receive buffer that the WSARecv in flight fills; -1 for one of zero bytes. */
  receiveBuffer = -1;
  /** The last receive filled its buffer, so more is likely to be there. */
  receiveFull = false;
  receiveCanceled = false;
  /** Packets with data of the stream that nobody has dequeued. */
  receivesQueued = 0;
  shuttingDown = false;
  closing = false;
  /** Close with RST. */
  reset = false;

  constructor(
    handle: number,
    index: number,
    generation: number,
    skips: boolean,
    listener: ListenerState | PipeListenerState | null,
    pipe: PipeEnd | null,
    datagrams: DatagramState | null,
  ) {
    this.handle = handle;
    this.index = index;
    this.generation = generation;
    this.skipsPacketOnSuccess = skips;
    this.listener = listener;
    this.pipe = pipe;
    this.datagrams = datagrams;
  }

  localEndpoint(): Endpoint {
    return this.#endpoint('getsockname', ws2.getsockname);
  }

  remoteEndpoint(): Endpoint {
    return this.#endpoint('getpeername', ws2.getpeername);
  }

  setNoDelay(on: boolean): void {
    assertHandle(this.handle, 'set TCP_NODELAY', 'setsockopt');
    if (!this.pipe) setOption(this.handle, c.IPPROTO_TCP, c.TCP_NODELAY, on ? 1 : 0, 'set TCP_NODELAY');
  }

  setKeepAlive(keepAlive: number | KeepAlive): void {
    assertHandle(this.handle, 'set SO_KEEPALIVE', 'setsockopt');
    if (!this.pipe) applyKeepAlive(this.handle, keepAlive, 'set SO_KEEPALIVE');
  }

  #endpoint(syscall: string, ask: typeof ws2.getsockname): Endpoint {
    if (this.pipe !== null || (this.listener !== null && 'path' in this.listener)) throw hasNoAddress(syscall);
    return endpointOf(this.handle, syscall, ask);
  }
}

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

/** Closes what need not be a socket at all. A failure (of the system's network, say) leaves nobody anything to do. */
export function discardHandle(handle: number): void {
  dropPosted(handle);
  disown(Owned.Handle, handle);
  ws2.closesocket(handle);
}

export function setOptions(handle: number, options: SocketOptions, action: string): void {
  const { noDelay, keepAlive, sendBufferSize, receiveBufferSize } = options;
  if (noDelay !== false) setOption(handle, c.IPPROTO_TCP, c.TCP_NODELAY, 1, action);
  if (keepAlive) applyKeepAlive(handle, keepAlive, action);
  if (sendBufferSize !== undefined) setOption(handle, c.SOL_SOCKET, c.SO_SNDBUF, sendBufferSize, action);
  if (receiveBufferSize !== undefined) setOption(handle, c.SOL_SOCKET, c.SO_RCVBUF, receiveBufferSize, action);
}

function applyKeepAlive(handle: number, keepAlive: number | KeepAlive, action: string): void {
  const { idle, interval, count }: KeepAlive = typeof keepAlive === 'number' ? { idle: keepAlive } : keepAlive;
  setOption(handle, c.SOL_SOCKET, c.SO_KEEPALIVE, idle > 0 ? 1 : 0, action);
  const options = [
    [c.TCP_KEEPALIVE, idle > 0 ? idle : undefined],
    [c.TCP_KEEPINTVL, interval],
    [c.TCP_KEEPCNT, count],
  ] as const;
  for (const [name, value] of options) {
    const errno = value === undefined ? 0 : trySetOption(handle, c.IPPROTO_TCP, name, value, action);
    if (errno === c.WSAENOPROTOOPT) {
      setKeepAliveValues(handle, idle, interval, action);
      return;
    }
    if (errno !== 0) throw win32Error(action, 'setsockopt', errno);
  }
}

/** How Windows before 10 1709 is told. There the count is always 10. */
function setKeepAliveValues(handle: number, idle: number, interval = 1, action: string): void {
  if (idle === 0) return;
  const values = Buffer.from(new Uint32Array([1, idle * 1000, interval * 1000]).buffer);
  if (ioctl(handle, c.SIO_KEEPALIVE_VALS, values) !== 0) throw win32Error(action, 'WSAIoctl', ws2.WSAGetLastError());
}

/** Sets something of a socket by its code: 0, or -1 with the error in WSAGetLastError(). */
export function ioctl(handle: number, code: number, input: Buffer): number {
  return ws2.WSAIoctl(handle, code, input, input.length, null, 0, Buffer.alloc(4), 0, 0);
}

/** A bound and listening socket. */
export function createListener(local: Endpoint, options: ListenOptions): number {
  const action = `listen on ${endpointText(local)}`;
  if (options.reusePort) throw new IocpError(action, 'Windows has no SO_REUSEPORT', 'ENOTSUP', 'setsockopt');
  const handle = createSocket(local.family, action);
  return orClose(handle, () => {
    // Neither SO_REUSEADDR, with which two listeners would share the port, nor SO_EXCLUSIVEADDRUSE, which may keep a server
    // out that starts again while connections of the last one have not run out.
    if (local.family === 6) setIPv6Only(handle, options.ipv6Only === true, action);
    // Accepted sockets get theirs one by one, but what is refused is refused here, and peers learn of the window here.
    setOptions(handle, options, action);
    bindTo(handle, local, action);
    if (ws2.listen(handle, backlogOf(options.backlog ?? 4096)) !== 0)
      throw win32Error(action, 'listen', ws2.WSAGetLastError());
    return handle;
  });
}

/** Windows is IPv6-only by default, and remains so where it has no IPv4. */
export function setIPv6Only(handle: number, on: boolean, action: string): void {
  if (on) setOption(handle, c.IPPROTO_IPV6, c.IPV6_V6ONLY, 1, action);
  else trySetOption(handle, c.IPPROTO_IPV6, c.IPV6_V6ONLY, 0, action);
}

/** What listen() is to be told: plainly, it cuts to 200; what is beyond has a form of its own, SOMAXCONN_HINT. */
export function backlogOf(wanted: number): number {
  return wanted <= c.SOMAXCONN ? wanted : -Math.min(wanted, 65_535);
}

/**
 * A socket for ConnectEx, which wants it bound. A SYN that this machine itself refuses (`loopback`) is not sent again:
 * that would take two seconds.
 */
export function createConnector(family: 4 | 6, options: SocketOptions, loopback: boolean, action: string): number {
  const handle = createSocket(family, action);
  return orClose(handle, () => {
    // Since Windows 10 1709. Elsewhere a refusal takes its time.
    if (loopback) ioctl(handle, c.SIO_TCP_INITIAL_RTO, NO_SYN_RETRANSMISSIONS);
    setOptions(handle, options, action);
    if (family === 6) setIPv6Only(handle, false, action);
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
  setOptions(handle, (listener.listener as ListenerState).options, 'accept a connection');
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

export function setOption(handle: number, level: number, name: number, value: number, action: string): void {
  const errno = trySetOption(handle, level, name, value, action);
  if (errno !== 0) throw win32Error(action, 'setsockopt', errno);
}

/** The same, but the error number of the system is given. */
function trySetOption(handle: number, level: number, name: number, value: number, action: string): number {
  assertHandle(handle, action, 'setsockopt');
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return ws2.setsockopt(handle, level, name, bytes, 4) === 0 ? 0 : ws2.WSAGetLastError();
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
