// DatagramSender: the sends of one UDP socket. Each message is a send of its own, started at once. The number in flight is
// limited, and there is no queue: a message beyond the limit is dropped, as the network would drop it.
//
// Messages are copied into send buffers, which they share: one after the other until the next does not fit. A buffer is released
// when all of its messages are sent. A message that is sent on from its own handler stays in its receive buffer.

import {
  type CompletionPacket,
  type Endpoint,
  GatherList,
  type IocpError,
  MAX_DATAGRAM_SENDS,
  Operation,
  type PortSocket,
} from '@overlapped/iocp-native';
import { copyInto } from '@overlapped/iocp-native/internal';
import { type CompletionOwner, type Core, onCompletion } from '@overlapped/net-core/internal';
import type { IocpEvent } from '@overlapped/object-pool';
import { SENDER } from '../sender.js';
import { Stat } from '../stats.js';

/** Limit of a message's bytes: it fits a send buffer. */
export const MAX_MESSAGE = 16_384;

const QUEUED = Stat.bytesQueued;

/** Called when a send has completed. */
type OnSent = (bytes: number, error: IocpError | null) => void;

export class DatagramSender {
  readonly #core: Core;
  readonly #socket: PortSocket;
  readonly #onSent: OnSent;
  readonly #pieces = new GatherList();
  /** Records that are not in use. */
  readonly #free: DatagramSend[] = [];
  #inFlight = 0;
  /** The send buffer that messages are copied into, or -1, and the bytes used of it. */
  #filling = -1;
  #filled = 0;
  /** Number of messages in each send buffer. */
  readonly #messages: Uint16Array;

  constructor(core: Core, socket: PortSocket, onSent: OnSent) {
    this.#core = core;
    this.#socket = socket;
    this.#onSent = onSent;
    this.#messages = new Uint16Array(core.sendBuffers.capacity);
  }

  /** Sends bytes, which are copied now. False if the limit is reached, or no send buffer is free. */
  copy(data: Uint8Array, length: number, to: Endpoint | null): boolean {
    const record = this.#acquire();
    if (record === null) return false;
    const { sendBuffers } = this.#core;
    const buffer = this.#bufferFor(length);
    if (buffer < 0) {
      this.#release(record);
      return false;
    }
    // An array whose memory was detached has no bytes.
    const copied = length > 0 && copyInto(sendBuffers.bytes(buffer), this.#filled, data) ? length : 0;
    record.sendBuffer = buffer;
    this.#pieces.clear();
    this.#pieces.add(sendBuffers.block, sendBuffers.offsetOf(buffer) + this.#filled, copied);
    this.#filled += copied;
    this.#messages[buffer]!++;
    this.#start(record, copied, to);
    return true;
  }

  /** Sends bytes that lie in a receive buffer, which is retained until they are sent. False if the limit is reached. */
  keep(data: Buffer, length: number, receiveBuffer: number, to: Endpoint | null): boolean {
    const record = this.#acquire();
    if (record === null) return false;
    const { port } = this.#core;
    port.retain(receiveBuffer);
    record.receiveBuffer = receiveBuffer;
    this.#pieces.clear();
    this.#pieces.add(port.receiveBlock, port.placeOf(data, receiveBuffer), length);
    this.#start(record, length, to);
    return true;
  }

  /** Called by a record: its send has completed. */
  sent(record: DatagramSend, { bytes, error }: CompletionPacket): void {
    this.#end(record);
    this.#onSent(bytes, error);
  }

  #start(record: DatagramSend, length: number, to: Endpoint | null): void {
    record.length = length;
    this.#core.statsBlock.values[QUEUED]! += length;
    try {
      this.#core.port.sendTo(this.#socket, record.event!, this.#pieces, to);
    } catch (error) {
      // `to` is not an endpoint.
      this.#end(record);
      throw error;
    }
  }

  /** Releases the buffer and the event of a send. */
  #end(record: DatagramSend): void {
    const core = this.#core;
    core.statsBlock.values[QUEUED]! -= record.length;
    if (record.receiveBuffer >= 0) core.port.release(record.receiveBuffer);
    else this.#releaseMessage(record.sendBuffer);
    this.#release(record);
  }

  /** A record with an event, or null if too many sends are in flight. */
  #acquire(): DatagramSend | null {
    if (this.#inFlight === MAX_DATAGRAM_SENDS) return null;
    const record = this.#free.pop() ?? new DatagramSend(this);
    record.event = this.#core.datagramEvents.acquire(record, Operation.Send);
    if (record.event === null) {
      this.#free.push(record);
      return null;
    }
    this.#inFlight++;
    return record;
  }

  #release(record: DatagramSend): void {
    this.#core.datagramEvents.release(record.event!);
    record.event = null;
    record.sendBuffer = -1;
    record.receiveBuffer = -1;
    this.#free.push(record);
    this.#inFlight--;
  }

  /** The index of a send buffer with `length` free bytes at `#filled`, or -1. */
  #bufferFor(length: number): number {
    const { sendBuffers } = this.#core;
    if (this.#filling >= 0 && this.#filled + length <= sendBuffers.size) return this.#filling;
    const buffer = sendBuffers.acquire(SENDER);
    if (buffer < 0) return -1;
    this.#filling = buffer;
    this.#filled = 0;
    return buffer;
  }

  #releaseMessage(buffer: number): void {
    const left = this.#messages[buffer]! - 1;
    this.#messages[buffer] = left;
    if (left > 0) return;
    if (buffer === this.#filling) this.#filling = -1;
    this.#core.releaseSendBuffer(buffer, SENDER);
  }
}

/** One message in flight. */
class DatagramSend implements CompletionOwner {
  event: IocpEvent<CompletionOwner> | null = null;
  length = 0;
  /** The buffer of its bytes: one of the two, the other is -1. */
  sendBuffer = -1;
  receiveBuffer = -1;
  readonly #sender: DatagramSender;

  constructor(sender: DatagramSender) {
    this.#sender = sender;
  }

  [onCompletion](packet: CompletionPacket): void {
    this.#sender.sent(this, packet);
  }
}
