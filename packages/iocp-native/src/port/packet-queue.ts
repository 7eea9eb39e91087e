// Packets that did not come from the kernel: operations that finished or failed at once, closes, and posts.

import { CompletionPacket } from '../contract/port.js';

/** A first-in-first-out queue of packets, which reuses its records. */
export class PacketQueue<O extends object = object> {
  #ring: CompletionPacket[] = Array.from({ length: 64 }, () => new CompletionPacket());
  // The origin of each record: the socket whose operation it was (for an Accept that is the listener, not the packet's
  // socket), or another object that its backend keeps account of.
  #origins: (O | null)[] = new Array(64).fill(null);
  #head = 0;
  #count = 0;

  get length(): number {
    return this.#count;
  }

  /** A record at the end of the queue, with every field at its default, to be filled at once. */
  push(origin: O | null = null): CompletionPacket {
    if (this.#count === this.#ring.length) this.#grow();
    const at = (this.#head + this.#count++) & (this.#ring.length - 1);
    this.#origins[at] = origin;
    return this.#ring[at]!;
  }

  /** Copies the oldest packet into `into`, clears its record and gives its origin. The queue must not be empty. */
  shift(into: CompletionPacket): O | null {
    const at = this.#head;
    const packet = this.#ring[at]!;
    const origin = this.#origins[at]!;
    this.#origins[at] = null;
    this.#head = (at + 1) & (this.#ring.length - 1);
    this.#count--;
    copyPacket(packet, into);
    clearPacket(packet);
    return origin;
  }

  #grow(): void {
    const { length } = this.#ring;
    const at = (i: number) => (this.#head + i) & (length - 1);
    const twice = { length: length * 2 };
    const origins = Array.from(twice, (_, i) => (i < length ? this.#origins[at(i)]! : null));
    this.#ring = Array.from(twice, (_, i) => (i < length ? this.#ring[at(i)]! : new CompletionPacket()));
    this.#origins = origins;
    this.#head = 0;
  }
}

function copyPacket(from: CompletionPacket, into: CompletionPacket): void {
  into.operation = from.operation;
  into.key = from.key;
  into.event = from.event;
  into.socket = from.socket;
  into.bytes = from.bytes;
  into.handle = from.handle;
  into.data = from.data;
  into.buffer = from.buffer;
  into.error = from.error;
  into.from = from.from;
}

function clearPacket(packet: CompletionPacket): void {
  packet.key = undefined;
  packet.event = null;
  packet.socket = null;
  packet.bytes = 0;
  packet.handle = -1;
  packet.data = null;
  packet.buffer = -1;
  packet.error = null;
  packet.from = null;
}
