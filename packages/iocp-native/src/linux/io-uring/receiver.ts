// Receive streams: a multishot receive stays with the kernel, which takes a buffer from the ring when data is there.
// It may end at any completion (no MORE flag) and is then armed again, unless the stream itself has ended.

import assert from 'node:assert';
import { type CompletionPacket, Operation, type Overlapped } from '../../contract/port.js';
import type { ReceiveBuffers } from '../../port/receive-buffers.js';
import { ENOBUFS, linuxPacketError } from '../errors.js';
import { CQE_FLAG, OP, RECV_MULTISHOT, SQE_FLAG } from '../layout.js';
import type { BufferRing } from './buffer-ring.js';
import { fill } from './completion.js';
import type { Datagrams } from './datagrams.js';
import { canceled, type Engine } from './engine.js';
import type { UringSocket } from './socket.js';

export class Receiver {
  readonly #engine: Engine;
  readonly #buffers: ReceiveBuffers;
  readonly #ring: BufferRing;
  readonly #datagrams: Datagrams;
  /** Streams that found no free buffer, oldest first. Those that ended meanwhile are no longer marked `starved`. */
  readonly #starved: UringSocket[] = [];

  constructor(engine: Engine, buffers: ReceiveBuffers, ring: BufferRing, datagrams: Datagrams) {
    this.#engine = engine;
    this.#buffers = buffers;
    this.#ring = ring;
    this.#datagrams = datagrams;
  }

  receive(socket: UringSocket, event: Overlapped): void {
    assert(socket.receiving === null, 'a receive stream is running on this socket');
    this.#engine.start(socket, event);
    socket.receiving = event;
    socket.receiveCanceled = false;
    this.#arm(socket, event);
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    if (socket.receiveCanceled) return;
    socket.receiveCanceled = true;
    if (socket.starved) {
      socket.starved = false;
      this.#queueCanceled(socket, event);
    } else {
      this.#engine.cancel(socket, Operation.Receive, event.tag);
    }
  }

  /** A completion of a multishot receive. True when it filled the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, flags: number, packet: CompletionPacket): boolean {
    if (result > 0) {
      const buffer = flags >>> 16;
      fill(packet, Operation.Receive, socket.key, event, socket, result, null);
      if (socket.datagrams === null) packet.data = this.#buffers.take(buffer, result);
      else this.#datagrams.take(packet, buffer, result);
      packet.buffer = buffer;
      this.#engine.stats.buffersOut++;
      if ((flags & CQE_FLAG.MORE) === 0) this.#rearm(socket, event);
      return true;
    }
    if ((flags & CQE_FLAG.BUFFER) !== 0) this.#ring.provide(flags >>> 16);
    if (result === -ENOBUFS) {
      this.#wait(socket, event);
      return false;
    }
    socket.receiving = null;
    const error = result === 0 ? null : linuxPacketError('receive', 'recv', -result);
    fill(packet, Operation.Receive, socket.key, event, socket, 0, error);
    this.#engine.finish(socket, event);
    return true;
  }

  /** Drops a reference to a buffer; the last one gives it back to the kernel. */
  release(buffer: number): void {
    if (!this.#buffers.release(buffer)) return;
    this.#engine.stats.buffersOut--;
    this.#ring.provide(buffer);
    if (this.#starved.length > 0) this.#engine.notifier.nudge();
  }

  /** Arms as many starved streams as there are free buffers. */
  feed(): void {
    let { free } = this.#ring;
    while (free > 0 && this.#starved.length > 0) {
      const socket = this.#starved.shift()!;
      if (!socket.starved) continue;
      socket.starved = false;
      this.#arm(socket, socket.receiving!);
      free--;
    }
  }

  /** No buffer was free: more are taken into use, or the stream waits in line. */
  #wait(socket: UringSocket, event: Overlapped): void {
    if (this.#ring.free > 0 || this.#ring.grow()) {
      this.#rearm(socket, event);
      return;
    }
    this.#engine.stats.starved++;
    if (socket.receiveCanceled) {
      this.#queueCanceled(socket, event);
    } else {
      socket.starved = true;
      this.#starved.push(socket);
    }
  }

  #rearm(socket: UringSocket, event: Overlapped): void {
    if (socket.receiveCanceled) this.#queueCanceled(socket, event);
    else this.#arm(socket, event);
  }

  #queueCanceled(socket: UringSocket, event: Overlapped): void {
    socket.receiving = null;
    this.#engine.queueEnd(Operation.Receive, socket, event, canceled('receive', 'recv'));
  }

  #arm(socket: UringSocket, event: Overlapped): void {
    if (socket.datagrams !== null) {
      this.#datagrams.arm(socket, event);
      return;
    }
    const { BUFFER_SELECT } = SQE_FLAG;
    this.#engine.submit(OP.RECV, socket, event.tag, Operation.Receive, 0, 0, 0, 0, RECV_MULTISHOT, BUFFER_SELECT);
  }
}
