// Messages for a session, from any thread: each is put into a queue of bytes with its length in front (4 bytes), and leaves it whole.

import { copyInto, lengthOf } from '@overlapped/iocp-native/internal';
import type { ByteQueues } from './byte-queues.js';

const HEADER = 4;

export class MessageBox {
  readonly #queues: ByteQueues;
  readonly #limit: number;
  readonly #header = Buffer.alloc(HEADER);

  /** @param limit bytes of the messages that wait in one box, with 4 for each message */
  constructor(queues: ByteQueues, limit: number) {
    this.#queues = queues;
    this.#limit = limit;
  }

  /**
   * Puts a copy of `data` behind the messages that wait. False, and nothing is put, when the box would exceed its limit, when there
   * are not enough blocks, or when the memory of `data` has been taken away. The lock of the box's session is held.
   */
  put(box: number, owner: number, data: Uint8Array): boolean {
    const length = lengthOf(data);
    if (this.#queues.lengthOf(box) + HEADER + length > this.#limit) return false;
    // One append, so that a message is there with its length or not at all.
    const message = Buffer.allocUnsafe(HEADER + length);
    message.writeUInt32LE(length);
    if (!copyInto(message, HEADER, data)) return false;
    return this.#queues.append(box, owner, message);
  }

  /** Takes the oldest message out, as a Buffer of its own; null when there is none. The lock of the box's session is held. */
  take(box: number): Buffer | null {
    if (this.#queues.lengthOf(box) === 0) return null;
    this.#queues.read(box, this.#header);
    // alloc() and not allocUnsafe(): a part of Node's pool would show other buffers' bytes through `buffer`.
    const message = Buffer.alloc(this.#header.readUInt32LE());
    this.#queues.read(box, message);
    return message;
  }
}
