// Receive streams: the kernel has a multishot receive, which takes a buffer from the ring when data is there. It may end with
// any completion (no MORE flag); it is then armed again, unless the stream itself has ended.
//
// A stream that brings much, to an owner that copies all of it, has a poll in the place of the multishot receive. When it fires,
// recv() reads into memory that the owner then has (chunks.ts). The kernel itself never has the address of such memory.

import { type CompletionPacket, Operation, type Overlapped } from '../../contract/port.js';
import type { Port } from '../../port/port.js';
import { bindCalls } from '../calls.js';
import { Chunks } from '../chunks.js';
import { canceled, EAGAIN, ECANCELED, ENOBUFS, linuxPacketError } from '../errors.js';
import { CQE_FLAG, POLLIN } from '../layout.js';
import { fill } from '../packets.js';
import { BUFFER_GROUP, type BufferRing } from './buffer-ring.js';
import { cancelOperation, setOwner } from './completions.js';
import type { Datagrams } from './datagrams.js';
import type { Ring } from './ring.js';
import type { UringSocket } from './socket.js';
import { prepPollAdd, prepRecvMultishot } from './submissions.js';

export class Receiver {
  readonly #port: Port<UringSocket>;
  readonly #ring: Ring;
  readonly #buffers: BufferRing;
  readonly #datagrams: Datagrams;
  readonly #chunks = new Chunks(bindCalls());
  /** Streams that found no free buffer, oldest first. Those that ended meanwhile are no longer marked `starved`. */
  readonly #starved: UringSocket[] = [];

  constructor(port: Port<UringSocket>, ring: Ring, buffers: BufferRing, datagrams: Datagrams) {
    this.#port = port;
    this.#ring = ring;
    this.#buffers = buffers;
    this.#datagrams = datagrams;
  }

  receive(socket: UringSocket, event: Overlapped): void {
    socket.receiveCanceled = false;
    this.#arm(socket, event);
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    if (socket.receiveCanceled) return;
    socket.receiveCanceled = true;
    if (socket.receiveArmed) {
      cancelOperation(this.#ring, socket, Operation.Receive, event.tag);
    } else {
      socket.receiveStarved = false;
      this.#queueCanceled(socket, event);
    }
  }

  /** A completion of a multishot receive. True when it filled the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, flags: number, packet: CompletionPacket): boolean {
    const more = (flags & CQE_FLAG.MORE) !== 0;
    if (!more) socket.receiveArmed = false;
    if (socket.receivePolls && result > 0) return this.#readChunk(socket, event, packet);
    if (result > 0) {
      const buffer = flags >>> 16;
      fill(packet, Operation.Receive, socket.key, event, socket, result, null);
      if (socket.datagrams === null) packet.data = this.#port.buffers.take(buffer, result);
      else this.#datagrams.take(packet, buffer, result);
      packet.buffer = buffer;
      if (socket.ownMemory && result === this.#port.buffers.size) this.#change(socket, event);
      if (!more) this.#rearm(socket, event);
      return true;
    }
    if ((flags & CQE_FLAG.BUFFER) !== 0) this.#buffers.provide(flags >>> 16);
    if (result === -ENOBUFS) {
      this.#starve(socket, event);
      return false;
    }
    if (result === -ECANCELED && socket.receiveChanges && !socket.receiveCanceled) {
      this.#arm(socket, event);
      return false;
    }
    this.#end(socket, event, -result, packet);
    return true;
  }

  /** Much has come: a poll takes the place of the multishot receive. What that has taken by then still comes in buffers. */
  #change(socket: UringSocket, event: Overlapped): void {
    socket.filledBuffer();
    if (!socket.receiveArmed || socket.receiveChanges || socket.receiveCanceled) return;
    socket.receiveChanges = true;
    cancelOperation(this.#ring, socket, Operation.Receive, event.tag);
  }

  /** The poll has fired. True when it filled the packet. */
  #readChunk(socket: UringSocket, event: Overlapped, packet: CompletionPacket): boolean {
    const data = this.#chunks.receive(socket.handle);
    if (data === null) {
      const { errno } = this.#chunks;
      if (errno !== EAGAIN) {
        this.#end(socket, event, errno, packet);
        return true;
      }
      this.#rearm(socket, event);
      return false;
    }
    fill(packet, Operation.Receive, socket.key, event, socket, data.length, null);
    packet.data = data;
    socket.broughtOwn(data.length, this.#port.buffers.size);
    this.#rearm(socket, event);
    return true;
  }

  /** Fills the last packet of a stream. @param errno 0: the peer's FIN */
  #end(socket: UringSocket, event: Overlapped, errno: number, packet: CompletionPacket): void {
    const error = errno === 0 ? null : linuxPacketError('receive', 'recv', errno);
    fill(packet, Operation.Receive, socket.key, event, socket, 0, error);
    this.#port.finish(socket, event);
  }

  /** Streams wait for free buffers. */
  get starving(): boolean {
    return this.#starved.length > 0;
  }

  /** Arms as many starved streams as there are free buffers. */
  rearmStarved(): void {
    if (this.#starved.length === 0) return;
    let { free } = this.#buffers;
    while (free > 0 && this.#starved.length > 0) {
      const socket = this.#starved.shift()!;
      if (!socket.receiveStarved) continue;
      socket.receiveStarved = false;
      this.#arm(socket, socket.receiving!);
      free--;
    }
  }

  /** No buffer was free: more are taken into use, or the stream waits in line. */
  #starve(socket: UringSocket, event: Overlapped): void {
    if (this.#buffers.free > 0 || this.#buffers.grow()) {
      this.#rearm(socket, event);
      return;
    }
    this.#port.stats.starved++;
    if (socket.receiveCanceled) {
      this.#queueCanceled(socket, event);
    } else {
      socket.receiveStarved = true;
      this.#starved.push(socket);
    }
  }

  #rearm(socket: UringSocket, event: Overlapped): void {
    if (socket.receiveCanceled) this.#queueCanceled(socket, event);
    else this.#arm(socket, event);
  }

  #queueCanceled(socket: UringSocket, event: Overlapped): void {
    this.#port.queue(Operation.Receive, socket, event, canceled('receive', 'recv'));
  }

  #arm(socket: UringSocket, event: Overlapped): void {
    socket.receiveArmed = true;
    socket.receiveChanges = false;
    socket.receivePolls = socket.receivesMuch;
    const ring = this.#ring;
    const entry = socket.receivePolls
      ? prepPollAdd(ring, socket.handle, POLLIN)
      : socket.datagrams === null
        ? prepRecvMultishot(ring, socket.handle, BUFFER_GROUP)
        : this.#datagrams.prepReceive(socket, event);
    setOwner(ring, entry, socket, Operation.Receive, event.tag);
  }
}
