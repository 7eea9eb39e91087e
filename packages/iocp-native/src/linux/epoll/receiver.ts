// Receive streams of connections. An idle stream has nothing but an entry in the epoll; a buffer is taken when there is data.
//
// A TCP socket is read until a call gives less than the buffer holds: then it is empty, and bytes that come later cause a new event.
// So a message costs one recv(). After an event that tells of an end, an error or urgent data, and on local sockets, where
// recv() stops behind a message that has descriptors, only EAGAIN says that all has been read.

import type { IocpError } from '../../contract/errors.js';
import { type CompletionPacket, Operation, type Overlapped } from '../../contract/port.js';
import type { Port } from '../../port/port.js';
import { bindCalls } from '../calls.js';
import { Chunks } from '../chunks.js';
import { EAGAIN, ECANCELED, EINTR, linuxPacketError } from '../errors.js';
import { MSG_DONTWAIT } from '../layout.js';
import { errno } from '../libc.js';
import { fill } from '../packets.js';
import type { FreeBuffers } from './free-buffers.js';
import type { EpollSocket } from './socket.js';
import type { Watching } from './watching.js';

/**
 * Buffers that one socket fills before others get their turn; in a small batch, at most half of it. An echo sends the buffers of a turn
 * in one operation, so fewer buffers mean more sends.
 */
const READS_PER_TURN = 16;
/** The same for chunks of 64 KiB. */
const CHUNKS_PER_TURN = 2;

export class Receiver {
  readonly #port: Port<EpollSocket>;
  readonly #watching: Watching;
  readonly #free: FreeBuffers;
  readonly #recv = bindCalls().recv;
  readonly #chunks = new Chunks(bindCalls());

  constructor(port: Port<EpollSocket>, watching: Watching, free: FreeBuffers) {
    this.#port = port;
    this.#watching = watching;
    this.#free = free;
  }

  receive(socket: EpollSocket, event: Overlapped): void {
    socket.streaming = true;
    const failed = this.#watching.reads(socket);
    if (failed !== 0) this.#queueEnd(socket, event, linuxPacketError('receive', 'epoll_ctl', failed));
  }

  cancel(socket: EpollSocket, event: Overlapped): void {
    if (socket.streaming) this.#queueEnd(socket, event, linuxPacketError('receive', 'recv', ECANCELED));
  }

  /** Reads up to a bound, into packets from place `n` on. Gives the place after the last. */
  read(socket: EpollSocket, batch: readonly CompletionPacket[], n: number): number {
    const { buffers } = this.#port;
    const { size } = buffers;
    const base = buffers.block.address;
    if (socket.receivesMuch) return this.#readChunks(socket, batch, n);
    const event = socket.receiving!;
    const end = Math.min(batch.length, n + Math.min(READS_PER_TURN, (batch.length + 1) >> 1));
    let next = n;
    while (next < end) {
      const buffer = this.#free.take();
      if (buffer < 0) {
        this.#free.starve(socket);
        return next;
      }
      const length = this.#recv(socket.handle, base + buffers.offsetOf(buffer), size, MSG_DONTWAIT);
      if (length > 0) {
        const packet = batch[next++]!;
        fill(packet, Operation.Receive, socket.key, event, socket, length, null);
        packet.data = buffers.take(buffer, length);
        packet.buffer = buffer;
        if (length === size) {
          if (!socket.ownMemory) continue;
          socket.filledBuffer();
          return this.#readChunks(socket, batch, next);
        }
        if (socket.pressing || !socket.shortIsAll) continue;
        socket.readable = false;
        return next;
      }
      const code = length < 0 ? errno() : 0;
      this.#free.putBack(buffer);
      if (code === EINTR) continue;
      return this.#stopped(socket, code, batch, next);
    }
    this.#watching.list(socket);
    return next;
  }

  /** read() into memory of the messages' own. */
  #readChunks(socket: EpollSocket, batch: readonly CompletionPacket[], n: number): number {
    const event = socket.receiving!;
    const end = Math.min(batch.length, n + CHUNKS_PER_TURN);
    let next = n;
    while (next < end) {
      const data = this.#chunks.receive(socket.handle);
      if (data === null) return this.#stopped(socket, this.#chunks.errno, batch, next);
      const packet = batch[next++]!;
      fill(packet, Operation.Receive, socket.key, event, socket, data.length, null);
      packet.data = data;
      socket.broughtOwn(data.length, this.#port.buffers.size);
      if (Chunks.isFull(data.length) || socket.pressing || !socket.shortIsAll) continue;
      socket.readable = false;
      return next;
    }
    this.#watching.list(socket);
    return next;
  }

  /** A call has given no bytes: there are none now (EAGAIN), or the stream ends. Gives the place after the last packet. */
  #stopped(socket: EpollSocket, code: number, batch: readonly CompletionPacket[], next: number): number {
    if (code === EAGAIN) {
      socket.readable = false;
      socket.pressing = false;
      return next;
    }
    socket.streaming = false;
    const event = socket.receiving!;
    const error = code === 0 ? null : linuxPacketError('receive', 'recv', code);
    fill(batch[next]!, Operation.Receive, socket.key, event, socket, 0, error);
    this.#port.finish(socket, event);
    return next + 1;
  }

  #queueEnd(socket: EpollSocket, event: Overlapped, error: IocpError): void {
    socket.streaming = false;
    socket.starved = false;
    this.#port.queue(Operation.Receive, socket, event, error);
  }
}
