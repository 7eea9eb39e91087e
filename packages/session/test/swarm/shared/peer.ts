// The other end of a connection to shared sessions: writes bytes that say where they belong, and checks the frames that come.
//
//   sender (8)  target (8)  number (4)  length (2)  payload
//
// Sender and target are ids of sessions. Each frame of a sender is the next of that sender. A broadcast has the target EVERYONE: a slow
// session misses some, and their numbers grow.

import assert from 'node:assert';
import type { Kernel, Socket } from './kernel.js';

const HEADER = 22;
export const EVERYONE = 2 ** 51;

export const byteAt = (peer: number, at: number): number => (at * 31 + peer * 7) & 0xff;

export function frame(sender: number, target: number, number: number, length: number): Buffer {
  const bytes = Buffer.alloc(HEADER + length, (sender + number) & 0xff);
  bytes.writeDoubleLE(sender, 0);
  bytes.writeDoubleLE(target, 8);
  bytes.writeUInt32LE(number, 16);
  bytes.writeUInt16LE(length, 20);
  return bytes;
}

export class Peer {
  static #count = 0;
  readonly number = Peer.#count++ & 0xff;
  readonly #kernel: Kernel;
  socket: Socket | null = null;
  /** Of the session that serves it, once that is known. */
  session: number | null = null;
  written = 0;
  paused = false;
  /** Its own direction is over; it has got the other end's FIN; it is over, by the FINs of both or by a reset. */
  ended = false;
  gotEnd = false;
  closed = false;
  wasCut = false;
  readonly next = new Map<number, number>();
  /** The broadcasts of each sender that have come. */
  readonly broadcasts = new Map<number, number[]>();
  #rest: Buffer = Buffer.alloc(0);
  readonly #early: (() => void)[] = [];
  /** What has arrived and was not read: bytes, a FIN (null), the close of the other end (undefined). */
  readonly #inbox: (Buffer | null | undefined)[] = [];
  #lastArrival = 0;
  #lastWrite = 0;
  /** Called when a promise is broken. */
  onFailure: (error: unknown) => void = () => {};
  onEnd: (peer: Peer) => void = () => {};

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  onAccepted(): void {
    for (const act of this.#early.splice(0)) act();
  }

  write(length: number): void {
    if (this.ended || this.closed) return;
    const start = this.written;
    this.written += length;
    const bytes = Buffer.from(Array.from({ length }, (_, i) => byteAt(this.number, start + i)));
    this.#deliver((socket) => socket.incoming.push(bytes));
  }

  /** Writes the rest of a frame of so many bytes, if a part of it is written. */
  complete(whole: number): void {
    if (whole > 0 && this.written % whole > 0) this.write(whole - (this.written % whole));
  }

  /** @param whole bytes of a frame: the last one is completed */
  end(whole: number): void {
    if (this.ended || this.closed) return;
    this.complete(whole);
    this.ended = true;
    this.#deliver((socket) => {
      socket.peerEnded = true;
    });
    this.#closeIfOver();
  }

  reset(): void {
    if (this.closed) return;
    this.wasCut = true;
    this.closed = true;
    this.#deliver((socket) => {
      socket.reset = true;
      socket.incoming.length = 0;
    });
  }

  resume(): void {
    this.paused = false;
    this.#read();
  }

  /** The other end has reset the connection. */
  cut(): void {
    this.wasCut = true;
    this.closed = true;
  }

  /** Something is on its way to this end. */
  arrive(what: Buffer | null | undefined): void {
    const { clock, random, options } = this.#kernel;
    this.#lastArrival = Math.max(this.#lastArrival, clock.now() + random.next() * options.latency);
    clock.schedule(() => {
      this.#inbox.push(what);
      if (!this.paused) this.#read();
    }, this.#lastArrival);
  }

  #deliver(change: (socket: Socket) => void): void {
    if (this.socket === null) {
      this.#early.push(() => this.#deliver(change));
      return;
    }
    const { clock, random, options } = this.#kernel;
    const { socket } = this;
    this.#lastWrite = Math.max(this.#lastWrite, clock.now() + random.next() * options.latency);
    clock.schedule(() => {
      if (this.#kernel.sockets.get(socket.fd) !== socket || socket.reset) return;
      change(socket);
      this.#kernel.update(socket);
    }, this.#lastWrite);
  }

  #read(): void {
    if (this.closed) return;
    try {
      for (const what of this.#inbox.splice(0)) {
        if (what === undefined) {
          this.closed = true;
        } else if (what === null) {
          assert.strictEqual(this.#rest.length, 0, 'the stream ends in the middle of a frame');
          this.gotEnd = true;
          this.onEnd(this);
          this.#closeIfOver();
        } else {
          this.#got(what);
        }
      }
    } catch (error) {
      this.onFailure(error);
    }
  }

  #got(bytes: Buffer): void {
    const socket = this.socket!;
    if (this.#kernel.sockets.get(socket.fd) === socket) {
      socket.room += bytes.length;
      this.#kernel.update(socket);
    }
    let rest = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      if (rest.length < HEADER) break;
      const length = HEADER + rest.readUInt16LE(20);
      if (rest.length < length) break;
      const sender = rest.readDoubleLE(0);
      const number = rest.readUInt32LE(16);
      const target = rest.readDoubleLE(8);
      const whole = frame(sender, target, number, length - HEADER);
      assert(whole.equals(rest.subarray(0, length)), 'the bytes of a frame changed');
      if (target === EVERYONE) this.#gotBroadcast(sender, number);
      else this.#gotFrame(sender, target, number);
      rest = rest.subarray(length);
    }
    this.#rest = rest;
  }

  #gotFrame(sender: number, target: number, number: number): void {
    const expected = this.next.get(sender) ?? 0;
    assert.strictEqual(target, this.session, 'a frame for another session');
    assert.strictEqual(number, expected, `frame ${number} of ${sender} comes in the place of ${expected}`);
    this.next.set(sender, expected + 1);
  }

  #gotBroadcast(sender: number, number: number): void {
    const before = this.broadcasts.get(sender) ?? [];
    assert(number > (before.at(-1) ?? -1), `broadcast ${number} of ${sender} comes behind ${before.at(-1)}`);
    this.broadcasts.set(sender, [...before, number]);
  }

  #closeIfOver(): void {
    if (this.ended && this.gotEnd) this.closed = true;
  }
}
