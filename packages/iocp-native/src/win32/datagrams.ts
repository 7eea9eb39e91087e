// Datagram sockets. A WSARecvFrom with a buffer is always with the kernel while a stream runs: one of zero bytes would take
// a datagram and lose it. When it has brought a datagram, calls that do not wait take those behind it, so that a burst comes
// in one batch.
//
// Datagram sockets skip no packets (socket-handles.ts): each success comes through the kernel's queue.
//
//   event   0          32                 288        316
//           OVERLAPPED | up to 16 WSABUFs | sockaddr | its length

import { endpointText } from '../contract/endpoint.js';
import type { IocpError } from '../contract/errors.js';
import { countOf, totalOf } from '../contract/gather-list.js';
import { applyOptions, DATAGRAM_OPTIONS } from '../contract/options.js';
import { type DatagramOptions, type Endpoint, type GatherList, Operation, type Overlapped } from '../contract/port.js';
import type { NativeBlock } from '../native/memory.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../native/sockaddr.js';
import { AddressCache, DatagramState, inFamily, sendAction, writeTarget } from '../port/datagrams.js';
import type { Port } from '../port/port.js';
import type { ReceiveBuffers } from '../port/receive-buffers.js';
import { Kind } from '../port/socket.js';
import * as c from './constants.js';
import { win32Error, win32PacketError } from './errors.js';
import { addressOf, type KernelQueue, statusOf } from './kernel-queue.js';
import { EVENT_ADDRESSES, EVENT_BUFFERS, PAGE, WSABUF } from './layout.js';
import { writeBuffer, writeBuffers } from './sender.js';
import type { Win32Socket } from './socket.js';
import type { SocketHandles } from './socket-handles.js';
import { applyOption, ioctl, setIPv6Only, setOption } from './socket-options.js';
import { reachSelf } from './target.js';
import { bindTo, createSocket, orClose, setNonBlocking } from './winsock.js';
import { connect, WSAGetLastError, WSARecvFrom, WSASendTo } from './ws2_32.js';

const ADDRESS_LENGTH = EVENT_ADDRESSES + SOCKADDR_SIZE;
/** Bytes of a receive buffer that are not used, as other backends need them. */
const OVERHEAD = 48;
/**
 * The most bytes of a UDP datagram over IPv4. Winsock is not asked to send more: for the kernel its error "too long" is a
 * warning, and a packet follows although the call has failed.
 */
const LARGEST = 65_507;
/** More than any datagram has, for the same reason: the bytes that a receive buffer has no room for go here, and are not read. */
export const SINK_SIZE = 65536;

export class Datagrams {
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  readonly #handles: SocketHandles;
  readonly #buffers: ReceiveBuffers;
  readonly #sink: NativeBlock;
  readonly #addresses = new AddressCache();
  readonly #recv = WSARecvFrom.bound();
  readonly #send = WSASendTo.bound();
  /** One error for all packets: any peer can cause it at any rate. */
  readonly #truncated = win32PacketError('receive all of a datagram', 'WSARecvFrom', c.WSAEMSGSIZE);

  /** @param sink memory of SINK_SIZE bytes. */
  constructor(port: Port<Win32Socket>, queue: KernelQueue, handles: SocketHandles, sink: NativeBlock) {
    this.#port = port;
    this.#queue = queue;
    this.#handles = handles;
    this.#buffers = port.buffers;
    this.#sink = sink;
  }

  /** Throws an IocpError. */
  bind(local: Endpoint, options: DatagramOptions): Win32Socket {
    const datagrams = new DatagramState(local.family, options.remote !== undefined);
    const handle = createDatagramSocket(local, options);
    return this.#handles.add(Kind.Datagrams, handle, `bind to ${endpointText(local)}`, { datagrams });
  }

  /** Gives the kernel a buffer to receive into. ERROR_IO_PENDING when it has it, else the error number of the call. */
  post(socket: Win32Socket, buffer: number): number {
    const overlapped = this.#queue.prepare(socket.receiving!);
    this.#describe(socket.receiving!, buffer);
    const done = this.#receive(socket, overlapped) === 0;
    return this.#queue.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
  }

  /** Takes a datagram that is there already: its length, or a negated error number (WSAEWOULDBLOCK: there is none). */
  poll(socket: Win32Socket, buffer: number): number {
    this.#describe(socket.receiving!, buffer);
    return this.#receive(socket, 0) === 0 ? this.#queue.page.words[PAGE.bytes]! : -WSAGetLastError();
  }

  /** Queues the packet of a datagram of `length` bytes, which lies in a buffer and, beyond that, in the sink. */
  received(socket: Win32Socket, buffer: number, length: number): void {
    const event = socket.receiving!;
    const room = this.#buffers.size - OVERHEAD;
    const error = length > room ? this.#truncated : null;
    const packet = this.#port.queuePacket(Operation.Receive, socket, event, error, socket.receive);
    packet.bytes = Math.min(length, room);
    packet.data = this.#buffers.take(buffer, packet.bytes);
    packet.buffer = buffer;
    packet.from = this.#addresses.find(event.block, event.offset + EVENT_ADDRESSES);
  }

  send(socket: Win32Socket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    const state = socket.datagrams!;
    const { block } = event;
    const at = event.offset + EVENT_ADDRESSES;
    const length = to === null ? 0 : writeTarget(to, state.family, block, at, c.AF_INET6);
    const unreachable = to !== null && length === 0;
    if (length !== 0) reachSelf(block.bytes, at, state.family);
    if (unreachable || totalOf(pieces) > LARGEST) {
      const errno = unreachable ? c.WSAEAFNOSUPPORT : c.WSAEMSGSIZE;
      this.#port.queue(Operation.Send, socket, event, win32PacketError(sendAction(to), 'WSASendTo', errno));
      return;
    }
    const overlapped = this.#queue.prepare(event);
    state.sends.add(overlapped, event);
    writeBuffers(event, pieces);
    // An empty datagram is one buffer of no bytes.
    const count = countOf(pieces);
    if (count === 0) writeBuffer(block.words, (event.offset + EVENT_BUFFERS) >> 2, 0, 0);
    const { handle } = socket;
    const list = overlapped + EVENT_BUFFERS;
    const target = length === 0 ? 0 : block.address + at;
    const sent = this.#queue.page.address + PAGE.bytes * 4;
    const done = this.#send(handle, list, Math.max(1, count), sent, 0, target, length, overlapped, 0) === 0;
    const errno = this.#queue.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno === c.ERROR_IO_PENDING) return;
    state.sends.remove(overlapped);
    this.#sent(socket, event, errno, 0);
  }

  /** The packet of a send. False for a late one. */
  complete(socket: Win32Socket, overlapped: number, bytes: number): boolean {
    const event = socket.datagrams!.sends.remove(overlapped);
    if (event === undefined) return false;
    this.#sent(socket, event, statusOf(event), bytes);
    return true;
  }

  /** A send has ended with this NTSTATUS or error number. */
  #sent(socket: Win32Socket, event: Overlapped, errno: number, bytes: number): void {
    const error = errno === 0 ? null : datagramError(actionOf(socket, event), 'WSASendTo', errno);
    this.#port.queue(Operation.Send, socket, event, error).bytes = bytes;
  }

  #describe({ block: { words }, offset }: Overlapped, buffer: number): void {
    const at = (offset + EVENT_BUFFERS) >> 2;
    const start = this.#buffers.block.address + this.#buffers.offsetOf(buffer);
    writeBuffer(words, at, start, this.#buffers.size - OVERHEAD);
    writeBuffer(words, at + (WSABUF.size >> 2), this.#sink.address, SINK_SIZE);
    words[(offset + ADDRESS_LENGTH) >> 2] = SOCKADDR_SIZE;
  }

  #receive(socket: Win32Socket, overlapped: number): number {
    const { page } = this.#queue;
    const event = socket.receiving!;
    const start = addressOf(event);
    page.words[PAGE.flags] = 0;
    const received = page.address + PAGE.bytes * 4;
    const flags = page.address + PAGE.flags * 4;
    const from = start + EVENT_ADDRESSES;
    const fromLength = start + ADDRESS_LENGTH;
    return this.#recv(socket.handle, start + EVENT_BUFFERS, 2, received, flags, from, fromLength, overlapped, 0);
  }
}

/** Answers of a host or of a router on the way to an earlier send (ICMP). */
const ICMP_ERRORS = new Set(['ECONNREFUSED', 'ENETRESET', 'EHOSTUNREACH', 'ENETUNREACH']);

/**
 * Why a receive stream ends, by the error number or NTSTATUS of a receive; null when it goes on. On a socket that is not
 * connected an ICMP error is no reason. On a connected one it is, except "time exceeded" (ENETRESET): any router may send that,
 * and no other system reports it.
 */
export function endOfStream(socket: Win32Socket, errno: number): IocpError | null {
  const error = datagramError('receive', 'WSARecvFrom', errno);
  const { code } = error;
  return code === 'ENETRESET' || (!socket.datagrams!.connected && ICMP_ERRORS.has(code)) ? null : error;
}

/** ICMP's "port unreachable" is ECONNREFUSED, as on other systems. Windows mostly reports it as a reset. */
function datagramError(action: string, syscall: string, errno: number): IocpError {
  const error = win32PacketError(action, syscall, errno);
  return error.code === 'ECONNRESET' ? win32PacketError(action, syscall, c.WSAECONNREFUSED) : error;
}

/** The action of a send for its error, from the address that it left in its event. */
function actionOf(socket: Win32Socket, { block, offset }: Overlapped): string {
  return sendAction(socket.datagrams!.connected ? null : readSockaddr(block.bytes, offset + EVENT_ADDRESSES));
}

function createDatagramSocket(local: Endpoint, options: DatagramOptions): number {
  const { remote, ipv6Only } = options;
  const action = `bind to ${endpointText(local)}`;
  const handle = createSocket(local.family, action, c.SOCK_DGRAM, c.IPPROTO_UDP);
  return orClose(handle, () => {
    setOption(handle, c.SOL_SOCKET, c.SO_EXCLUSIVEADDRUSE, 1, action);
    if (local.family === 6) setIPv6Only(handle, ipv6Only === true, action);
    applyOptions(applyOption, handle, options, DATAGRAM_OPTIONS, action);
    // For poll(). It has no effect on overlapped calls.
    setNonBlocking(handle, action);
    // Without SIO_UDP_NETRESET, any router can end receives with WSAENETRESET. Older versions of Windows lack it.
    if (!remote) ignoreUnreachablePorts(handle, action);
    ioctl(handle, c.SIO_UDP_NETRESET, Buffer.alloc(4));
    bindTo(handle, local, action);
    if (remote) connectTo(handle, remote, local.family);
    return handle;
  });
}

/** Without SIO_UDP_CONNRESET, a peer that has closed its port ends receives with WSAECONNRESET. */
function ignoreUnreachablePorts(handle: number, action: string): void {
  if (ioctl(handle, c.SIO_UDP_CONNRESET, Buffer.alloc(4)) === 0) return;
  throw win32Error(action, 'WSAIoctl', WSAGetLastError());
}

function connectTo(handle: number, remote: Endpoint, family: 4 | 6): void {
  const action = `connect to ${endpointText(remote)}`;
  const target = inFamily(remote, family);
  if (target === null) throw win32Error(action, 'connect', c.WSAEAFNOSUPPORT);
  const address = Buffer.alloc(SOCKADDR_SIZE);
  const length = writeSockaddr(target, address, 0, c.AF_INET6);
  reachSelf(address, 0, target.family);
  if (connect(handle, address, length) !== 0) throw win32Error(action, 'connect', WSAGetLastError());
}
