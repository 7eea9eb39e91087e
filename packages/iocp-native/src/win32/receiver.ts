// Receive streams. While a connection is idle, a WSARecv of zero bytes is with the kernel, which holds no buffer and
// locks no pages. Its packet says that data is there: only then a buffer is taken and filled. When the data filled it,
// the next WSARecv has a buffer from the start; otherwise the stream is idle again.

import type { IocpError } from '../contract/errors.js';
import { Operation } from '../contract/port.js';
import type { Port } from '../port/port.js';
import { FreeList, type ReceiveBuffers } from '../port/receive-buffers.js';
import type { Origin } from '../port/socket.js';
import { ERROR_IO_PENDING, WSAECONNRESET, WSAEWOULDBLOCK } from './constants.js';
import { type Datagrams, endOfStream } from './datagrams.js';
import { win32PacketError } from './errors.js';
import { addressOf, canceled, type KernelQueue } from './kernel-queue.js';
import { EVENT_BUFFERS, PAGE } from './layout.js';
import { isPipeEnd, readPipe } from './pipe.js';
import { writeBuffer } from './sender.js';
import type { Win32Socket } from './socket.js';
import type { SocketHandles } from './socket-handles.js';
import { WSAGetLastError, WSARecv } from './ws2_32.js';

/** The most datagrams that one completion makes packets of. */
const BURST = 32;

/** Where a receive stream is. */
const Stage = {
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
type Stage = (typeof Stage)[keyof typeof Stage];

/** The receive stream of a socket, and the origin of its packets with data. */
export class ReceiveStream implements Origin {
  readonly socket: Win32Socket;
  readonly #receiver: Receiver;
  stage: Stage = Stage.None;
  /** The receive buffer that the WSARecv in flight fills; -1 for a WSARecv of zero bytes. */
  buffer = -1;
  /** The last receive filled its buffer, so more is likely to be there. */
  full = false;
  canceled = false;
  /** Packets with data that are not dequeued yet. */
  queued = 0;

  constructor(receiver: Receiver, socket: Win32Socket) {
    this.#receiver = receiver;
    this.socket = socket;
  }

  dequeued(): void {
    this.queued--;
    if (this.stage === Stage.Queued && this.queued === 0) this.#receiver.rearmLater(this);
  }
}

export class Receiver {
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  readonly #handles: SocketHandles;
  readonly #buffers: ReceiveBuffers;
  readonly #datagrams: Datagrams;
  readonly #free: FreeList;
  readonly #recv = WSARecv.bound();
  /** Streams whose packet was dequeued, and which go on with the next dequeue(). */
  #rearm: ReceiveStream[] = [];
  #rearming: ReceiveStream[] = [];
  /** Streams that found no free buffer, oldest first. */
  readonly #starved = new Set<ReceiveStream>();
  #serving = false;

  constructor(port: Port<Win32Socket>, queue: KernelQueue, handles: SocketHandles, datagrams: Datagrams) {
    this.#port = port;
    this.#queue = queue;
    this.#handles = handles;
    this.#buffers = port.buffers;
    this.#datagrams = datagrams;
    this.#free = new FreeList(port.buffers.count);
  }

  /** There are streams that the next dequeue() will take further. */
  get hasWork(): boolean {
    return this.#rearm.length > 0;
  }

  receive(socket: Win32Socket): void {
    socket.receive ??= new ReceiveStream(this, socket);
    const stream = socket.receive;
    stream.canceled = false;
    if (socket.datagrams === null) {
      this.#await(stream);
      return;
    }
    stream.full = true;
    this.#fetch(stream);
  }

  cancel(socket: Win32Socket): void {
    const stream = socket.receive!;
    if (stream.canceled) return;
    stream.canceled = true;
    if (stream.stage === Stage.Kernel) {
      this.#handles.cancel(socket, addressOf(socket.receiving!));
    } else if (stream.stage !== Stage.None) {
      this.#starved.delete(stream);
      this.#end(stream, canceled('receive', 'WSARecv'));
    }
  }

  /** The packet of a WSARecv, whose NTSTATUS is `status`. */
  complete(socket: Win32Socket, status: number, bytes: number): void {
    const stream = socket.receive!;
    const { buffer } = stream;
    if (socket.datagrams !== null) {
      this.#completeDatagram(stream, buffer, status, bytes);
      return;
    }
    if (status !== 0) {
      if (buffer >= 0) this.provide(buffer);
      this.#fail(stream, status);
    } else if (buffer >= 0) {
      this.#received(stream, buffer, bytes);
    } else if (stream.canceled) {
      this.#end(stream, canceled('receive', 'WSARecv'));
    } else {
      this.#fetch(stream);
    }
  }

  /** The stream goes on with the next rearm(). */
  rearmLater(stream: ReceiveStream): void {
    stream.stage = Stage.Rearm;
    this.#rearm.push(stream);
  }

  /** Starts the next WSARecv of each stream whose data has been dequeued: at most two calls for each. */
  rearm(): void {
    if (this.#rearm.length === 0) return;
    const streams = this.#rearm;
    this.#rearm = this.#rearming;
    this.#rearming = streams;
    for (const stream of streams) {
      // A stream that was canceled meanwhile has ended, and may have been started again.
      if (stream.stage !== Stage.Rearm) continue;
      if (stream.full) this.#fetch(stream);
      else this.#await(stream);
    }
    streams.length = 0;
  }

  /** A buffer is free: the stream that has waited longest gets it, if any waits. */
  provide(buffer: number): void {
    this.#free.push(buffer);
    // A stream that fails with its buffer gives that back here.
    if (this.#serving) return;
    this.#serving = true;
    for (const stream of this.#starved) {
      const free = this.#free.pop();
      if (free < 0) break;
      this.#starved.delete(stream);
      this.#fill(stream, free);
    }
    this.#serving = false;
  }

  /** Waits for data with a WSARecv of zero bytes. */
  #await(stream: ReceiveStream): void {
    if (this.#post(stream, -1) >= 0) this.#fetch(stream);
  }

  /** Data is likely to be there. */
  #fetch(stream: ReceiveStream): void {
    const buffer = this.#free.pop();
    if (buffer >= 0) {
      this.#fill(stream, buffer);
      return;
    }
    this.#port.stats.starved++;
    stream.stage = Stage.Starved;
    this.#starved.add(stream);
  }

  #fill(stream: ReceiveStream, buffer: number): void {
    if (stream.socket.datagrams !== null) {
      this.#fillDatagram(stream, buffer);
      return;
    }
    const bytes = this.#post(stream, buffer);
    if (bytes >= 0) this.#received(stream, buffer, bytes);
  }

  /**
   * WSARecv into a buffer, or of zero bytes. Gives the bytes received when it finished at once and no packet comes,
   * else -1: the kernel has it, or the stream has ended.
   */
  #post(stream: ReceiveStream, buffer: number): number {
    const { socket } = stream;
    const event = socket.receiving!;
    const { page } = this.#queue;
    const size = buffer < 0 ? 0 : this.#buffers.size;
    const target = buffer < 0 ? 0 : this.#buffers.block.address + this.#buffers.offsetOf(buffer);
    stream.buffer = buffer;
    stream.stage = Stage.Kernel;
    const overlapped = this.#queue.prepare(event);
    if (socket.pipe !== null) {
      const into = buffer < 0 ? page.address : target;
      const errno = this.#queue.outcome(readPipe(socket.handle, into, size, overlapped), false);
      return errno === ERROR_IO_PENDING ? -1 : this.#refused(stream, buffer, errno);
    }
    writeBuffer(event.block.words, (event.offset + EVENT_BUFFERS) >> 2, target, size);
    page.words[PAGE.flags] = 0;
    const list = overlapped + EVENT_BUFFERS;
    const flags = page.address + PAGE.flags * 4;
    const done = this.#recv(socket.handle, list, 1, page.address, flags, overlapped, 0) === 0;
    const errno = this.#queue.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno === 0) return page.words[PAGE.bytes]!;
    return errno === ERROR_IO_PENDING ? -1 : this.#refused(stream, buffer, errno);
  }

  /** The call of a receive has failed. */
  #refused(stream: ReceiveStream, buffer: number, errno: number): -1 {
    if (buffer >= 0) this.provide(buffer);
    this.#fail(stream, errno);
    return -1;
  }

  /** Ends the stream with the error of this number. Pipes have numbers of their own for the end and for a reset. */
  #fail(stream: ReceiveStream, errno: number): void {
    if (stream.socket.pipe === null) this.#end(stream, win32PacketError('receive', 'WSARecv', errno));
    else if (isPipeEnd(errno)) this.#end(stream, null);
    else {
      const error = win32PacketError('receive', 'ReadFile', errno);
      this.#end(stream, error.code === 'EPIPE' ? win32PacketError('receive', 'ReadFile', WSAECONNRESET) : error);
    }
  }

  #received(stream: ReceiveStream, buffer: number, bytes: number): void {
    const { socket } = stream;
    if (bytes === 0) {
      this.provide(buffer);
      if (socket.pipe === null) this.#end(stream, null);
      // A write of zero bytes to the pipe is no end.
      else if (stream.canceled) this.#end(stream, canceled('receive', 'ReadFile'));
      else this.#await(stream);
      return;
    }
    const packet = this.#port.queuePacket(Operation.Receive, socket, socket.receiving, null, stream);
    packet.bytes = bytes;
    packet.data = this.#buffers.take(buffer, bytes);
    packet.buffer = buffer;
    stream.full = bytes === this.#buffers.size;
    stream.stage = Stage.Queued;
    stream.queued++;
    if (stream.canceled) this.#end(stream, canceled('receive', 'WSARecv'));
  }

  /** Gives the kernel a buffer for the next datagram. */
  #fillDatagram(stream: ReceiveStream, buffer: number): void {
    stream.buffer = buffer;
    stream.stage = Stage.Kernel;
    const errno = this.#datagrams.post(stream.socket, buffer);
    if (errno !== ERROR_IO_PENDING) this.#completeDatagram(stream, buffer, errno, 0);
  }

  /** A datagram is in the buffer: takes those that are there, too. Or the receive has failed. */
  #completeDatagram(stream: ReceiveStream, buffer: number, status: number, bytes: number): void {
    const { socket } = stream;
    let result = status === 0 ? bytes : -status;
    let slot = buffer;
    for (let count = 1; result >= 0; count++) {
      this.#datagrams.received(socket, slot, result);
      stream.queued++;
      slot = count < BURST ? this.#free.pop() : -1;
      result = slot < 0 ? -WSAEWOULDBLOCK : this.#datagrams.poll(socket, slot);
    }
    if (slot >= 0) this.provide(slot);
    const error = -result === WSAEWOULDBLOCK ? null : endOfStream(socket, -result);
    if (error !== null) {
      this.#end(stream, error);
    } else if (stream.canceled) {
      this.#end(stream, canceled('receive', 'WSARecvFrom'));
    } else if (stream.queued > 0) {
      stream.stage = Stage.Queued;
    } else {
      this.rearmLater(stream);
    }
  }

  /** Queues the stream's last packet. */
  #end(stream: ReceiveStream, error: IocpError | null): void {
    const { socket } = stream;
    stream.stage = Stage.None;
    this.#port.queue(Operation.Receive, socket, socket.receiving, error);
  }
}
