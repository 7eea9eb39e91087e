// Datagrams on their way out of one socket. Each is a send of its own, started at once; what is in flight is the queue, and
// it is bounded. Nothing waits here: what finds no room is dropped, as the network would.
//
// Bytes are copied into send buffers, which datagrams share: one after the other until the next does not fit. A buffer goes
// back when all that it holds are sent. A message that is sent on from its own handler stays in its receive buffer.

import {
  type CompletionPacket,
  type Endpoint,
  GatherList,
  type IocpError,
  MAX_DATAGRAM_SENDS,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import { copyInto, lengthOf } from '@overlapped/iocp-native/internal';
import { type CompletionOwner, type IocpCore, onCompletion, Stat } from '@overlapped/net-core';
import type { IocpEvent } from '@overlapped/object-pool';
import { SENDER } from '../sender.js';

/** The longest message that is sent: one that fits a send buffer. */
export const LONGEST_MESSAGE = 16_384;

const QUEUED = Stat.bytesQueued;

/** Told of each send that has ended. */
export type OnSent = (bytes: number, error: IocpError | null) => void;

export class Outbox {
  readonly #core: IocpCore;
  readonly #socket: PortSocket;
  readonly #onSent: OnSent;
  readonly #pieces = new GatherList();
  readonly #spare: Outgoing[] = [];
  #inFlight = 0;
  /** The send buffer that is being filled, and how far; -1 for none. */
  #filling = -1;
  #filled = 0;
  /** Datagrams in each send buffer. */
  readonly #shares: Uint16Array;

  constructor(core: IocpCore, socket: PortSocket, onSent: OnSent) {
    this.#core = core;
    this.#socket = socket;
    this.#onSent = onSent;
    this.#shares = new Uint16Array(core.sendBuffers.capacity);
  }

  /** Sends bytes that are copied now. False when there is no room. */
  copy(data: Uint8Array, length: number, to: Endpoint | null): boolean {
    const record = this.#take();
    if (record === null) return false;
    const { sendBuffers } = this.#core;
    const buffer = this.#bufferFor(length);
    if (buffer < 0) {
      this.#giveBack(record);
      return false;
    }
    // An array whose memory was taken away has no bytes.
    const copied = length > 0 && copyInto(sendBuffers.bytes(buffer), this.#filled, data) ? length : 0;
    record.sendBuffer = buffer;
    this.#pieces.clear();
    this.#pieces.add(sendBuffers.block, sendBuffers.offsetOf(buffer) + this.#filled, copied);
    this.#filled += copied;
    this.#shares[buffer]!++;
    this.#start(record, copied, to);
    return true;
  }

  /** Sends bytes that lie in a receive buffer. False when there is no room. */
  lend(data: Buffer, receiveBuffer: number, to: Endpoint | null): boolean {
    const record = this.#take();
    if (record === null) return false;
    const { port } = this.#core;
    port.retain(receiveBuffer);
    record.receiveBuffer = receiveBuffer;
    this.#pieces.clear();
    const length = lengthOf(data);
    this.#pieces.add(port.receiveBlock, port.placeOf(data), length);
    this.#start(record, length, to);
    return true;
  }

  /** For the records: the packet of a send. */
  sent(record: Outgoing, { bytes, error }: CompletionPacket): void {
    this.#end(record);
    this.#onSent(bytes, error);
  }

  #start(record: Outgoing, length: number, to: Endpoint | null): void {
    record.length = length;
    this.#core.statsBlock.values[QUEUED]! += length;
    try {
      this.#core.port.sendTo(this.#socket, record.event!, this.#pieces, to);
    } catch (error) {
      // `to` is no endpoint.
      this.#end(record);
      throw error;
    }
  }

  /** What a send held goes back. */
  #end(record: Outgoing): void {
    const core = this.#core;
    core.statsBlock.values[QUEUED]! -= record.length;
    if (record.receiveBuffer >= 0) core.port.release(record.receiveBuffer);
    else this.#releaseShare(record.sendBuffer);
    this.#giveBack(record);
  }

  /** A record with an event, or null when too many are in flight. */
  #take(): Outgoing | null {
    if (this.#inFlight === MAX_DATAGRAM_SENDS) return null;
    const record = this.#spare.pop() ?? new Outgoing(this);
    record.event = this.#core.datagramEvents.acquire(record, Operation.Send);
    if (record.event === null) {
      this.#spare.push(record);
      return null;
    }
    this.#inFlight++;
    return record;
  }

  #giveBack(record: Outgoing): void {
    this.#core.datagramEvents.release(record.event!);
    record.event = null;
    record.sendBuffer = -1;
    record.receiveBuffer = -1;
    this.#spare.push(record);
    this.#inFlight--;
  }

  /** A send buffer with room for so many bytes at `#filled`, or -1. */
  #bufferFor(length: number): number {
    const { sendBuffers } = this.#core;
    if (this.#filling >= 0 && this.#filled + length <= sendBuffers.size) return this.#filling;
    const buffer = sendBuffers.acquire(SENDER);
    if (buffer < 0) return -1;
    this.#filling = buffer;
    this.#filled = 0;
    return buffer;
  }

  #releaseShare(buffer: number): void {
    const left = this.#shares[buffer]! - 1;
    this.#shares[buffer] = left;
    if (left > 0) return;
    if (buffer === this.#filling) this.#filling = -1;
    this.#core.releaseSendBuffer(buffer, SENDER);
  }
}

/** One datagram in flight. */
class Outgoing implements CompletionOwner {
  event: IocpEvent<CompletionOwner> | null = null;
  length = 0;
  /** Where its bytes lie: one of the two. */
  sendBuffer = -1;
  receiveBuffer = -1;
  readonly #outbox: Outbox;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  [onCompletion](packet: CompletionPacket): void {
    this.#outbox.sent(this, packet);
  }
}
