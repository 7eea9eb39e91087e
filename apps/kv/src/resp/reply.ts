// Writes replies. Those of one batch of requests are gathered in a chunk, which all connections of a thread share, as each
// batch is served and sent before the next one starts. Large strings are sent from where they are.

import { countDigits, encodeBulk, writeDigits } from './bulk.js';

/** Where the replies of a connection go. */
export interface Output {
  /**
   * Sends bytes. The chunk is used anew after that: bytes no longer than CHUNK must be copied, others do not change.
   * False when so much waits to be sent that the client should be served no more for now.
   */
  send(bytes: Buffer): boolean;
}

/** Bytes that are gathered for one send. A session copies up to so many at once. */
export const CHUNK = 16384;
/** Larger strings are not copied into the chunk. */
export const LARGE = 2048;
/** Bytes of a line with a number, at most. */
const NUMBER_LINE = 24;

const CR = 13;
const LF = 10;
const OK = Buffer.from('+OK\r\n');
const NULL = { 2: Buffer.from('$-1\r\n'), 3: Buffer.from('_\r\n') };

export type Protocol = 2 | 3;

export class ReplyWriter {
  protocol: Protocol = 2;
  /** A send has said false since begin(). */
  congested = false;
  readonly #chunk = Buffer.allocUnsafeSlow(CHUNK);
  // The beginnings of the chunk that were sent before, by length: making a view costs more than a small reply.
  readonly #views: (Buffer | undefined)[] = new Array(CHUNK + 1).fill(undefined);
  #at = 0;
  #output: Output | null = null;

  /** Starts the replies of one batch. Bytes that a failed batch has left are dropped. */
  begin(output: Output, protocol: Protocol): void {
    this.#at = 0;
    this.#output = output;
    this.protocol = protocol;
    this.congested = false;
  }

  /** Sends the gathered bytes. */
  flush(): void {
    const at = this.#at;
    if (at === 0) return;
    this.#at = 0;
    let view = this.#views[at];
    if (view === undefined) {
      view = this.#chunk.subarray(0, at);
      this.#views[at] = view;
    }
    this.#send(view);
  }

  /** A reply, or a part of one, that is encoded already. One that is LARGE must never change. */
  encoded(bytes: Buffer): void {
    const { length } = bytes;
    if (length > LARGE) {
      this.flush();
      this.#send(bytes);
      return;
    }
    this.#reserve(length);
    this.#chunk.set(bytes, this.#at);
    this.#at += length;
  }

  ok(): void {
    this.encoded(OK);
  }

  null(): void {
    this.encoded(NULL[this.protocol]);
  }

  integer(value: number | bigint): void {
    if (typeof value === 'number') this.#line(0x3a, value);
    else this.encoded(Buffer.from(`:${value}\r\n`, 'latin1'));
  }

  /** A simple string: no line breaks. */
  simple(text: string): void {
    this.encoded(Buffer.from(`+${text}\r\n`, 'latin1'));
  }

  /** Begins with its code: `ERR ...`. */
  error(text: string): void {
    this.encoded(Buffer.from(`-${text.replace(/[\r\n]/g, ' ')}\r\n`, 'latin1'));
  }

  /** A bulk string, with a byte for each character. */
  bulk(text: string): void {
    const bytes = Buffer.from(text, 'latin1');
    this.encoded(encodeBulk(bytes, 0, bytes.length));
  }

  /** Text for humans only; marked so in RESP3. */
  verbatim(text: string): void {
    if (this.protocol === 2) this.bulk(text);
    else this.encoded(Buffer.from(`=${text.length + 4}\r\ntxt:${text}\r\n`, 'latin1'));
  }

  /** The head of an array; its items follow. */
  array(count: number): void {
    this.#line(0x2a, count);
  }

  /** The head of a map; its keys and values follow in turns. In RESP2 it is an array of these. */
  map(count: number): void {
    if (this.protocol === 2) this.#line(0x2a, 2 * count);
    else this.#line(0x25, count);
  }

  #line(mark: number, value: number): void {
    this.#reserve(NUMBER_LINE);
    const chunk = this.#chunk;
    let at = this.#at;
    chunk[at++] = mark;
    if (value < 0) chunk[at++] = 0x2d;
    const natural = Math.abs(value);
    const end = at + countDigits(natural);
    writeDigits(chunk, at, end, natural);
    chunk[end] = CR;
    chunk[end + 1] = LF;
    this.#at = end + 2;
  }

  #reserve(length: number): void {
    if (this.#at + length > CHUNK) this.flush();
  }

  #send(bytes: Buffer): void {
    if (!this.#output!.send(bytes)) this.congested = true;
  }
}
