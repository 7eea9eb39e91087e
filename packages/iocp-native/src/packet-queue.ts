// Packets that did not come from the kernel: what finished or failed at once, closes, and what was posted.

import { CompletionPacket } from './contract.js';

/** A first-in-first-out queue of packets, which reuses its records. */
export class PacketQueue {
  #ring: CompletionPacket[] = Array.from({ length: 64 }, () => new CompletionPacket());
  #head = 0;
  #count = 0;

  get length(): number {
    return this.#count;
  }

  /** A record at the end of the queue, with every field at its default, to be filled at once. */
  push(): CompletionPacket {
    if (this.#count === this.#ring.length) this.#grow();
    const packet = this.#ring[(this.#head + this.#count++) & (this.#ring.length - 1)]!;
    return packet;
  }

  /** Copies the oldest packet into `into` and clears its record. The queue must not be empty. */
  shift(into: CompletionPacket): void {
    const packet = this.#ring[this.#head]!;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#count--;
    copyPacket(packet, into);
    clearPacket(packet);
  }

  #grow(): void {
    const { length } = this.#ring;
    const larger = Array.from({ length: length * 2 }, (_, i) =>
      i < length ? this.#ring[(this.#head + i) & (length - 1)]! : new CompletionPacket(),
    );
    this.#ring = larger;
    this.#head = 0;
  }
}

function copyPacket(from: CompletionPacket, into: CompletionPacket): void {
  into.operation = from.operation;
  into.key = from.key;
  into.event = from.event;
  into.socket = from.socket;
  into.bytes = from.bytes;
  into.data = from.data;
  into.buffer = from.buffer;
  into.error = from.error;
}

function clearPacket(packet: CompletionPacket): void {
  packet.key = undefined;
  packet.event = null;
  packet.socket = null;
  packet.bytes = 0;
  packet.data = null;
  packet.buffer = -1;
  packet.error = null;
}
