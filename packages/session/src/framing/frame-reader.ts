// FrameReader: cuts one stream into frames. The stream arrives in pieces.
//
//   piece   | frame | frame | fra          a frame that lies whole in a piece is returned as a view of it
//   piece   me | frame | frame | f         a frame in parts is gathered in memory of its own

import assert from 'node:assert';
import { type Framer, frameTooLong, NOTHING } from './framer.js';

/** Minimum capacity for gathering a frame of unknown or greater length, and minimum of bytes gathered to find its length. */
const LEAST_CAPACITY = 512;
export const LEAST_STEP = 64;
/** Capacity for a frame in parts, as a multiple of its bytes received so far. */
const GROWTH = 4;

export class FrameReader {
  readonly #framer: Framer;
  /** The current piece, and the offset of its first byte that has not been returned or gathered. */
  #piece: Buffer = NOTHING;
  #at = 0;
  /** The received part of an incomplete frame, in the first `#filled` bytes; null if there is none. */
  #gathered: Buffer | null = null;
  #filled = 0;
  /** Length of that frame on the wire; 0 while unknown. */
  #length = 0;
  /** Number of frames that came in parts. */
  #parted = 0;

  constructor(framer: Framer) {
    this.#framer = framer;
  }

  /** Number of the incomplete frame among those that came in parts, counted from 1; 0 if there is none. */
  get partialFrame(): number {
    return this.#gathered === null ? 0 : this.#parted;
  }

  /** Adds the next piece of the stream. next() must have returned null for the previous piece. */
  add(piece: Buffer): void {
    this.#piece = piece;
    this.#at = 0;
  }

  /**
   * The next frame, valid as long as the piece is. Null if the rest of the piece holds no whole frame; that rest is gathered.
   * Throws an IocpError: EMSGSIZE for a frame that is too long, EPROTO for bytes that are not a frame.
   */
  next(): Buffer | null {
    if (this.#gathered !== null) return this.#complete(this.#gathered);
    const start = this.#at;
    const left = this.#piece.length - start;
    if (left === 0) return this.#done();
    const length = measureFrame(this.#framer, this.#piece, start, 0);
    if (length === 0 || length > left) {
      this.#length = length;
      this.#parted++;
      this.#gather(left);
      return this.#done();
    }
    this.#at = start + length;
    return this.#framer.body(this.#piece, start, this.#at);
  }

  /** Removes and returns the rest of the piece, which next() has not read. */
  rest(): Buffer {
    const rest = this.#piece.subarray(this.#at);
    this.#done();
    return rest;
  }

  #done(): null {
    this.#piece = NOTHING;
    this.#at = 0;
    return null;
  }

  #complete(soFar: Buffer): Buffer | null {
    let gathered = soFar;
    while (this.#length === 0 || this.#filled < this.#length) {
      const left = this.#piece.length - this.#at;
      if (left === 0) return this.#done();
      const searched = this.#filled;
      // The end of a frame of unknown length is not known, so this may gather too much; at most twice as much.
      const wanted = this.#length > 0 ? this.#length - searched : Math.max(LEAST_STEP, searched);
      gathered = this.#gather(Math.min(wanted, left));
      if (this.#length === 0)
        this.#length = measureFrame(this.#framer, gathered.subarray(0, this.#filled), 0, searched);
    }
    const length = this.#length;
    this.#at -= this.#filled - length;
    this.#gathered = null;
    this.#filled = 0;
    this.#length = 0;
    return this.#framer.body(gathered, 0, length);
  }

  /** Copies `count` bytes of the piece. The memory grows with the bytes received, not with the length that a header announces. */
  #gather(count: number): Buffer {
    const filled = this.#filled + count;
    let gathered = this.#gathered;
    if (gathered === null || gathered.length < filled) {
      const most = this.#length > 0 ? this.#length : this.#framer.maxFrameLength;
      const larger = Buffer.alloc(Math.min(most, Math.max(LEAST_CAPACITY, filled * GROWTH)));
      gathered?.copy(larger, 0, 0, this.#filled);
      this.#gathered = larger;
      gathered = larger;
    }
    this.#piece.copy(gathered, this.#filled, this.#at, this.#at + count);
    this.#at += count;
    this.#filled = filled;
    return gathered;
  }
}

/** The length of a frame of which `bytes` has a part at least; 0 if it is not known yet. Throws an IocpError as next() does. */
export function measureFrame(framer: Framer, bytes: Buffer, start: number, searched: number): number {
  const { maxFrameLength } = framer;
  const length = framer.measure(bytes, start, searched);
  const known = length > 0 ? length : bytes.length - start + 1;
  if (known > maxFrameLength) throw frameTooLong(maxFrameLength);
  assert(length > searched || length === 0, 'a framer that measured otherwise before');
  return length;
}
