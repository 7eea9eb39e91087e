// Reads requests out of a stream of bytes that comes in pieces of any length. Arguments are places in the piece that they
// came in; only a request that spans pieces is put together, byte by byte as far as its own end, in memory of the parser.
//
//   *2 CR LF  $3 CR LF  GET CR LF  $3 CR LF  key CR LF       an array of strings, or
//   GET key LF                                               a line of words (inline.ts)
//
// https://redis.io/docs/latest/develop/reference/protocol-spec/

import { constants } from 'node:buffer';
import { splitInline } from './inline.js';
import { parseInteger } from './integer.js';
import { Request } from './request.js';

export interface Limits {
  /** Arguments of a request. */
  readonly arguments: number;
  /** Bytes of an argument. */
  readonly bulk: number;
  /** The most bytes of a request that spans pieces, before it is served. */
  readonly request: number;
}

/** Those of Redis, but for the arguments, of which it takes 2^31. Keys are strings, so an argument fits in one. */
const LIMITS: Limits = { arguments: 1 << 20, bulk: Math.min(1 << 29, constants.MAX_STRING_LENGTH), request: 1 << 30 };
/** Bytes of a line: of an inline request, or of a header without an end. */
const LONGEST_LINE = 65536;
/** Digits of a header that are read at once; more than a valid one has. */
const MOST_DIGITS = 20;
/** Bytes that a request which spans pieces takes at a time, where it does not say how many are missing. */
const STEP = 128;
/** Bytes that an idle connection keeps to put requests together. */
const KEPT = 1024;

const CR = 13;
const LF = 10;
const STAR = 0x2a;
const DOLLAR = 0x24;
const ZERO = 0x30;
const NOTHING = Buffer.alloc(0);

// Results of reading a number, when there is none.
const INCOMPLETE = -1;
const INVALID = -2;
const NEGATIVE = -3;
const TOO_LONG = -4;

// How far reading a request got.
const DONE = 0;
const EMPTY = 1;
const MORE = 2;
const FAILED = 3;
type Outcome = typeof DONE | typeof EMPTY | typeof MORE | typeof FAILED;

export class RequestParser {
  /** The request that next() has read. */
  readonly request = new Request();
  /** Why the stream cannot be read any further, in Redis's words; empty where it has none and just hangs up. */
  error: string | null = null;
  readonly #limits: Limits;
  /** Where requests are read from, up to #end: the last piece, or #assembly. */
  #source: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  /** Where the current request starts in #source. */
  #start = 0;
  /** Arguments that the current request still lacks, and the length of the one that is being read; -1: not known yet. */
  #missing = 0;
  #bulk = -1;
  /** A request that spans pieces is being put together, and the last piece lies in #piece. */
  #assembling = false;
  #assembly: Buffer = NOTHING;
  #piece: Buffer = NOTHING;
  #pieceAt = 0;

  constructor(limits = LIMITS) {
    this.#limits = limits;
  }

  /** Takes a piece of the stream. It is borrowed until next() has said false, or keep() has been called after it. */
  push(piece: Buffer): void {
    if (this.#assembling) {
      this.#piece = piece;
      this.#pieceAt = 0;
      return;
    }
    // The kept bytes come first.
    const kept = this.#at < this.#end;
    this.#source = kept ? Buffer.concat([this.#source.subarray(this.#at, this.#end), piece]) : piece;
    this.#at = 0;
    this.#end = this.#source.length;
  }

  /** Reads a request. False: there is none until more has come, or none any more, and `error` says why. */
  next(): boolean {
    while (this.error === null) {
      const outcome = this.#read();
      if (outcome <= EMPTY) {
        if (this.#assembling) this.#endAssembly();
        if (outcome === DONE) return true;
      } else if (outcome === FAILED || !this.#gather()) {
        break;
      }
    }
    // The places of a request that has begun stay valid: its bytes lie in #assembly.
    if (this.#missing === 0) this.request.clear();
    return false;
  }

  /** Copies the unread bytes, so that the piece may go. The last request goes with it. */
  keep(): void {
    // Then all of the piece is there already.
    if (this.#assembling) return;
    this.request.clear();
    this.#source = this.#at < this.#end ? Buffer.from(this.#source.subarray(this.#at, this.#end)) : NOTHING;
    this.#at = 0;
    this.#end = this.#source.length;
  }

  #read(): Outcome {
    if (this.#missing === 0) {
      if (this.#at === this.#end) return MORE;
      this.#start = this.#at;
      this.request.count = 0;
      if (this.#source[this.#at] !== STAR) return this.#readLine();
      const count = this.#readNumber(this.#at + 1);
      if (count === INCOMPLETE) return MORE;
      if (count === NEGATIVE || count === 0) return EMPTY;
      if (count === TOO_LONG) return this.#fail('too big mbulk count string');
      if (count < 0 || count > this.#limits.arguments) return this.#fail('invalid multibulk length');
      this.#missing = count;
    }
    return this.#readArguments();
  }

  #readArguments(): Outcome {
    const { request } = this;
    const { starts, ends } = request;
    do {
      if (this.#bulk < 0) {
        const outcome = this.#readBulkHeader();
        if (outcome !== DONE) return outcome;
      }
      const start = this.#at;
      const end = start + this.#bulk;
      // The two bytes after an argument are not looked at, here as in Redis.
      if (end + 2 > this.#end) return MORE;
      starts[request.count] = start;
      ends[request.count++] = end;
      this.#at = end + 2;
      this.#bulk = -1;
    } while (--this.#missing > 0);
    request.bytes = this.#source;
    return DONE;
  }

  #readBulkHeader(): Outcome {
    if (this.#at === this.#end) return MORE;
    const mark = this.#source[this.#at]!;
    const length = mark === DOLLAR ? this.#readNumber(this.#at + 1) : this.#readOddNumber(this.#at);
    if (length === INCOMPLETE) return MORE;
    if (length === TOO_LONG) return this.#fail('too big bulk count string');
    if (mark !== DOLLAR) return this.#fail(`expected '$', got '${String.fromCharCode(mark)}'`);
    if (length < 0 || length > this.#limits.bulk) return this.#fail('invalid bulk length');
    this.#bulk = length;
    return DONE;
  }

  /** Reads the number of a header line, from its first digit, and goes to the next line. Below 0: an error. */
  #readNumber(start: number): number {
    const source = this.#source;
    const end = Math.min(this.#end, start + MOST_DIGITS);
    let at = start;
    let value = 0;
    for (; at < end; at++) {
      const digit = source[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    const canonical = source[start] !== ZERO || at === start + 1;
    if (source[at] !== CR || at + 1 >= this.#end || at === start || !canonical) return this.#readOddNumber(start);
    this.#at = at + 2;
    return value;
  }

  /** Says why a line is not the natural number that it should be. */
  #readOddNumber(start: number): number {
    const end = this.#source.indexOf(CR, start);
    if (end < 0 || end >= this.#end) return this.#end - start >= LONGEST_LINE ? TOO_LONG : INCOMPLETE;
    if (end + 1 >= this.#end) return INCOMPLETE;
    const value = parseInteger(this.#source, start, end);
    this.#at = end + 2;
    return value !== null && value < 0 ? NEGATIVE : INVALID;
  }

  #readLine(): Outcome {
    const { request } = this;
    const start = this.#at;
    const end = this.#source.indexOf(LF, start);
    if (end < 0 || end >= this.#end) {
      return this.#end - start > LONGEST_LINE ? this.#fail('too big inline request') : MORE;
    }
    this.#at = end + 1;
    const [line = ''] = this.#source.toString('latin1', start, end).replace(/\r$/, '').split('\0', 1);
    const words = splitInline(line);
    if (words === null) return this.#fail('unbalanced quotes in request');
    if (words.length === 0) return EMPTY;
    request.bytes = Buffer.from(words.join(''), 'latin1');
    let at = 0;
    for (const { length } of words) {
      request.starts[request.count] = at;
      at += length;
      request.ends[request.count++] = at;
    }
    return DONE;
  }

  /** The request goes on in bytes that are not in #source: brings some of them there. False when they have not come. */
  #gather(): boolean {
    if (!this.#assembling) {
      this.#beginAssembly();
      return false;
    }
    const rest = this.#piece.length - this.#pieceAt;
    if (rest === 0) {
      this.#piece = NOTHING;
      this.#pieceAt = 0;
      return false;
    }
    const wanted = this.#bulk < 0 ? STEP : this.#at + this.#bulk + 2 - this.#end;
    const from = this.#pieceAt;
    this.#pieceAt += Math.min(wanted, rest);
    return this.#assemble(this.#piece, from, this.#pieceAt);
  }

  /** The rest of a piece is the beginning of a request: moves it to #assembly. */
  #beginAssembly(): void {
    const { request } = this;
    const piece = this.#source;
    // Between requests there is nothing to move.
    const start = this.#missing === 0 ? this.#at : this.#start;
    const end = this.#end;
    this.#source = NOTHING;
    this.#at -= start;
    this.#start = 0;
    this.#end = 0;
    if (start === end) return;
    for (let i = 0; i < request.count; i++) {
      request.starts[i]! -= start;
      request.ends[i]! -= start;
    }
    this.#assembling = true;
    this.#assemble(piece, start, end);
  }

  /** Adds bytes to the request that is being put together. False when it is too large. */
  #assemble(from: Buffer, start: number, end: number): boolean {
    const size = this.#end + end - start;
    if (size > this.#limits.request) {
      this.error = '';
      return false;
    }
    this.#reserve(size);
    from.copy(this.#assembly, this.#end, start, end);
    this.#source = this.#assembly;
    this.#end = size;
    return true;
  }

  /** Grows by doubling, so that memory follows the received bytes, not the length in a header. */
  #reserve(size: number): void {
    const { length } = this.#assembly;
    if (size <= length) return;
    const doubled = Math.max(size, 2 * length, STEP);
    const announced = this.#bulk < 0 ? 0 : this.#at + this.#bulk + 2;
    const larger = Buffer.allocUnsafeSlow(announced >= size ? Math.min(announced, doubled) : doubled);
    this.#assembly.copy(larger, 0, 0, this.#end);
    this.#assembly = larger;
  }

  /** The request is complete: reading goes on in the piece, right after it. */
  #endAssembly(): void {
    // The bytes beyond the request came from this piece, as without its last bytes the request was not complete.
    const surplus = this.#end - this.#at;
    this.#source = this.#piece;
    this.#at = this.#pieceAt - surplus;
    this.#end = this.#piece.length;
    this.#piece = NOTHING;
    this.#pieceAt = 0;
    this.#assembling = false;
    if (this.#assembly.length > KEPT) this.#assembly = NOTHING;
  }

  #fail(reason: string): Outcome {
    this.error = `Protocol error: ${reason}`;
    return FAILED;
  }
}
