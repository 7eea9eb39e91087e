// The bytes that the bench sends: each connection has its own stream, and any offset of it can be checked by itself.

import assert from 'node:assert';

/** A prime, so that the stream and the messages in it repeat at different places. */
const PERIOD = 65521;
/** Each connection starts this much further on: no two near ones send the same. */
const STRIDE = 7919;

export class Pattern {
  readonly #longest: number;
  readonly #bytes: Buffer;

  /** @param longest the most bytes that will be asked for at once */
  constructor(longest: number) {
    this.#longest = longest;
    this.#bytes = Buffer.alloc(PERIOD + longest);
    // A generator of Lehmer's: its high bits look random, so that bytes out of place are noticed.
    let state = 1;
    for (let i = 0; i < PERIOD; i++) {
      state = (state * 48271) % 0x7fffffff;
      this.#bytes[i] = state >>> 16;
    }
    for (let i = PERIOD; i < this.#bytes.length; i++) this.#bytes[i] = this.#bytes[i - PERIOD]!;
  }

  /** The stream of `connection` from `offset` on. A view, not to be written to. */
  at(connection: number, offset: number, length: number): Buffer {
    assert(length <= this.#longest);
    const start = this.#start(connection, offset);
    return this.#bytes.subarray(start, start + length);
  }

  /** Where `data` first differs from the stream of `connection` from `offset` on; -1 when it does not. */
  difference(connection: number, offset: number, data: Buffer): number {
    for (let done = 0; done < data.length; done += this.#longest) {
      const length = Math.min(this.#longest, data.length - done);
      const start = this.#start(connection, offset + done);
      if (this.#bytes.compare(data, done, done + length, start, start + length) === 0) continue;
      for (let i = 0; i < length; i++) if (data[done + i] !== this.#bytes[start + i]) return done + i;
    }
    return -1;
  }

  #start(connection: number, offset: number): number {
    return (connection * STRIDE + offset) % PERIOD;
  }
}
