// Receive streams. While a connection is idle, a WSARecv of zero bytes is with the kernel, which holds no buffer and
// locks no pages. Its packet says that data is there: only then a buffer is taken and filled. When the data filled it,
// the next WSARecv has a buffer from the start; otherwise the stream is idle again.

import assert from 'node:assert';
import type { IocpError } from '../contract/errors.js';
import { Operation, type Overlapped } from '../contract/port.js';
import { FreeList, type ReceiveBuffers } from '../port/receive-buffers.js';
import { ERROR_IO_PENDING, WSAECONNRESET, WSAEWOULDBLOCK } from './constants.js';
import { type Datagrams, endOfStream } from './datagrams.js';
import { canceled, type Engine } from './engine.js';
import { win32PacketError } from './errors.js';
import { EVENT_BUFFERS, PAGE, WSABUF } from './layout.js';
import { isPipeEnd, readPipe } from './pipe.js';
import { Stream, type Win32Socket } from './socket.js';
import { WSAGetLastError, WSARecv } from './ws2_32.js';

/** The most datagrams that one completion makes packets of. */
const BURST = 32;

export class Receiver {
  readonly #engine: Engine;
  readonly #buffers: ReceiveBuffers;
  readonly #datagrams: Datagrams;
  readonly #free: FreeList;
  readonly #recv = WSARecv.bound();
  /** Streams whose packet was dequeued, and which go on with the next dequeue(). */
  #rearm: Win32Socket[] = [];
  #rearming: Win32Socket[] = [];
  /** Streams that found no free buffer, oldest first. */
  readonly #starved = new Set<Win32Socket>();
  #feeding = false;

  constructor(engine: Engine, buffers: ReceiveBuffers, datagrams: Datagrams) {
    this.#engine = engine;
    this.#buffers = buffers;
    this.#datagrams = datagrams;
    this.#free = new FreeList(buffers.count);
  }

  /** There are streams that the next dequeue() will take further. */
  get hasWork(): boolean {
    return this.#rearm.length > 0;
  }

  receive(socket: Win32Socket, event: Overlapped): void {
    assert(socket.receiving === null, 'a receive stream is running on this socket');
    this.#engine.start(socket, event);
    socket.receiving = event;
    socket.receiveCanceled = false;
    if (socket.datagrams === null) {
      this.#await(socket);
      return;
    }
    socket.receiveFull = true;
    this.#fetch(socket);
  }

  cancel(socket: Win32Socket): void {
    const event = socket.receiving!;
    if (socket.receiveCanceled) return;
    socket.receiveCanceled = true;
    if (socket.stream === Stream.Kernel) {
      this.#engine.cancel(socket, event.block.address + event.offset);
    } else if (socket.stream !== Stream.None) {
      this.#starved.delete(socket);
      this.#end(socket, canceled('receive', 'WSARecv'));
    }
  }

  /** The packet of a WSARecv, whose NTSTATUS is `status`. */
  complete(socket: Win32Socket, status: number, bytes: number): void {
    const buffer = socket.receiveBuffer;
    if (socket.datagrams !== null) {
      this.#completeDatagram(socket, buffer, status, bytes);
      return;
    }
    if (status !== 0) {
      if (buffer >= 0) this.#give(buffer);
      this.#fail(socket, status);
    } else if (buffer >= 0) {
      this.#received(socket, buffer, bytes);
    } else if (socket.receiveCanceled) {
      this.#end(socket, canceled('receive', 'WSARecv'));
    } else {
      this.#fetch(socket);
    }
  }

  /** A packet with data of this stream has been dequeued. */
  delivered(socket: Win32Socket): void {
    socket.receivesQueued--;
    if (socket.stream !== Stream.Queued || socket.receivesQueued > 0) return;
    socket.stream = Stream.Rearm;
    this.#rearm.push(socket);
  }

  /** Takes the streams further whose data has been dequeued: at most two calls for each. */
  rearm(): void {
    if (this.#rearm.length === 0) return;
    const sockets = this.#rearm;
    this.#rearm = this.#rearming;
    this.#rearming = sockets;
    for (const socket of sockets) {
      // A stream that was cancelled meanwhile has ended, and may have been started again.
      if (socket.stream !== Stream.Rearm) continue;
      if (socket.receiveFull) this.#fetch(socket);
      else this.#await(socket);
    }
    sockets.length = 0;
  }

  /** Drops a reference to a buffer; the last one frees it. */
  release(buffer: number): void {
    if (!this.#buffers.release(buffer)) return;
    this.#engine.stats.buffersOut--;
    this.#give(buffer);
  }

  /** The buffer goes to the stream that has waited longest, if any does. */
  #give(buffer: number): void {
    this.#free.push(buffer);
    if (this.#feeding) return;
    this.#feeding = true;
    for (const socket of this.#starved) {
      const free = this.#free.pop();
      if (free < 0) break;
      this.#starved.delete(socket);
      this.#fill(socket, free);
    }
    this.#feeding = false;
  }

  /** Waits for data with a WSARecv of zero bytes. */
  #await(socket: Win32Socket): void {
    if (this.#post(socket, -1) >= 0) this.#fetch(socket);
  }

  /** Data is likely to be there. */
  #fetch(socket: Win32Socket): void {
    const buffer = this.#free.pop();
    if (buffer >= 0) {
      this.#fill(socket, buffer);
      return;
    }
    this.#engine.stats.starved++;
    socket.stream = Stream.Starved;
    this.#starved.add(socket);
  }

  #fill(socket: Win32Socket, buffer: number): void {
    if (socket.datagrams !== null) {
      this.#fillDatagram(socket, buffer);
      return;
    }
    const bytes = this.#post(socket, buffer);
    if (bytes >= 0) this.#received(socket, buffer, bytes);
  }

  /**
   * WSARecv into a buffer, or of zero bytes. Gives the bytes received when it finished at once and no packet comes,
   * else -1: the kernel has it, or the stream has ended.
   */
  #post(socket: Win32Socket, buffer: number): number {
    const event = socket.receiving!;
    const { scratch } = this.#engine;
    const { words } = event.block;
    const at = (event.offset + EVENT_BUFFERS) >> 2;
    const target = buffer < 0 ? 0 : this.#buffers.block.address + this.#buffers.offsetOf(buffer);
    words[at] = buffer < 0 ? 0 : this.#buffers.size;
    words[at + (WSABUF.buf >> 2)] = target;
    words[at + (WSABUF.buf >> 2) + 1] = Math.floor(target / 0x100000000);
    scratch.words[PAGE.flags] = 0;
    socket.receiveBuffer = buffer;
    socket.stream = Stream.Kernel;
    const overlapped = this.#engine.prepare(event);
    if (socket.pipe !== null) {
      const into = buffer < 0 ? scratch.address : target;
      const errno = this.#engine.outcome(readPipe(socket.handle, into, words[at]!, overlapped), false);
      return errno === ERROR_IO_PENDING ? -1 : this.#refused(socket, buffer, errno);
    }
    const list = overlapped + EVENT_BUFFERS;
    const flags = scratch.address + PAGE.flags * 4;
    const done = this.#recv(socket.handle, list, 1, scratch.address, flags, overlapped, 0) === 0;
    const errno = this.#engine.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno === 0) return scratch.words[PAGE.bytes]!;
    return errno === ERROR_IO_PENDING ? -1 : this.#refused(socket, buffer, errno);
  }

  /** The call of a receive has failed. */
  #refused(socket: Win32Socket, buffer: number, errno: number): -1 {
    if (buffer >= 0) this.#give(buffer);
    this.#fail(socket, errno);
    return -1;
  }

  /** Ends the stream with the error of this number. Pipes have numbers of their own for the end, and for being cut off. */
  #fail(socket: Win32Socket, errno: number): void {
    if (socket.pipe === null) this.#end(socket, win32PacketError('receive', 'WSARecv', errno));
    else if (isPipeEnd(errno)) this.#end(socket, null);
    else {
      const error = win32PacketError('receive', 'ReadFile', errno);
      this.#end(socket, error.code === 'EPIPE' ? win32PacketError('receive', 'ReadFile', WSAECONNRESET) : error);
    }
  }

  #received(socket: Win32Socket, buffer: number, bytes: number): void {
    if (bytes === 0) {
      this.#give(buffer);
      if (socket.pipe === null) this.#end(socket, null);
      // Somebody has written nothing to the pipe.
      else if (socket.receiveCanceled) this.#end(socket, canceled('receive', 'ReadFile'));
      else this.#await(socket);
      return;
    }
    const packet = this.#engine.queuePacket(Operation.Receive, socket, socket.receiving, null);
    packet.bytes = bytes;
    packet.data = this.#buffers.take(buffer, bytes);
    packet.buffer = buffer;
    this.#engine.stats.buffersOut++;
    socket.receiveFull = bytes === this.#buffers.size;
    socket.stream = Stream.Queued;
    socket.receivesQueued++;
    if (socket.receiveCanceled) this.#end(socket, canceled('receive', 'WSARecv'));
  }

  /** Gives the kernel a buffer for the next datagram. */
  #fillDatagram(socket: Win32Socket, buffer: number): void {
    socket.receiveBuffer = buffer;
    socket.stream = Stream.Kernel;
    const errno = this.#datagrams.post(socket, buffer);
    if (errno !== ERROR_IO_PENDING) this.#completeDatagram(socket, buffer, errno, 0);
  }

  /** A datagram is in the buffer: takes those that are there, too. Or the receive has failed. */
  #completeDatagram(socket: Win32Socket, buffer: number, status: number, bytes: number): void {
    let result = status === 0 ? bytes : -status;
    let slot = buffer;
    for (let count = 1; result >= 0; count++) {
      this.#datagrams.received(socket, slot, result);
      socket.receivesQueued++;
      slot = count < BURST ? this.#free.pop() : -1;
      result = slot < 0 ? -WSAEWOULDBLOCK : this.#datagrams.poll(socket, slot);
    }
    if (slot >= 0) this.#give(slot);
    const error = -result === WSAEWOULDBLOCK ? null : endOfStream(socket, -result);
    if (error !== null) {
      this.#end(socket, error);
    } else if (socket.receiveCanceled) {
      this.#end(socket, canceled('receive', 'WSARecvFrom'));
    } else {
      socket.stream = Stream.Queued;
      if (socket.receivesQueued === 0) {
        socket.stream = Stream.Rearm;
        this.#rearm.push(socket);
      }
    }
  }

  /** Queues the stream's last packet. */
  #end(socket: Win32Socket, error: IocpError | null): void {
    socket.stream = Stream.None;
    this.#engine.queuePacket(Operation.Receive, socket, socket.receiving, error);
  }
}
