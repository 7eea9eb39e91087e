// Cuts one stream into frames, piece by piece as it comes.
//
//   piece   | frame | frame | fra          a frame that lies whole in a piece is a view of it
//   piece   me | frame | frame | f         one that does not is gathered in memory of its own

import assert from 'node:assert';
import { type Framer, frameTooLong, NOTHING } from './framer.js';

/** The least memory that a frame is gathered in, unless it is shorter; and the least that is taken to learn its length. */
const LEAST_CAPACITY = 512;
const LEAST_STEP = 64;
/** How much more memory than what has come a frame in parts may have. */
const GROWTH = 4;

export class FrameReader {
  readonly #framer: Framer;
  /** The piece, and where its first byte is that has not been handed out or gathered. */
  #piece: Buffer = NOTHING;
  #at = 0;
  /** What has come of a frame that is not all there, in the first `#filled` bytes; null when there is none. */
  #gathered: Buffer | null = null;
  #filled = 0;
  /** Bytes of that frame on the wire; 0 while unknown. */
  #length = 0;
  /** Frames that came in parts. */
  #parted = 0;

  constructor(framer: Framer) {
    this.#framer = framer;
  }

  /** Number of the incomplete frame among those that came in parts, counted from 1; 0 if there is none. */
  get partialFrame(): number {
    return this.#gathered === null ? 0 : this.#parted;
  }

  /** Adds the next piece of the stream. The last one must have been read to its end. */
  add(piece: Buffer): void {
    this.#piece = piece;
    this.#at = 0;
  }

  /**
   * The next frame, good for as long as the piece is. Null when the rest of the piece holds none; it is then gathered.
   * Throws an IocpError: EMSGSIZE for a frame that is too long, EPROTO for what is no frame.
   */
  next(): Buffer | null {
    if (this.#gathered !== null) return this.#complete(this.#gathered);
    const start = this.#at;
    const left = this.#piece.length - start;
    if (left === 0) return this.#done();
    const length = this.#measure(this.#piece, start, 0);
    if (length === 0 || length > left) {
      this.#length = length;
      this.#parted++;
      this.#gather(left);
      return this.#done();
    }
    this.#at = start + length;
    return this.#framer.body(this.#piece, start, this.#at);
  }

  /** What next() has not read of the piece, which is taken away. */
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

  /** Measures a frame of which `bytes` has a part at least. 0 when its length is not known yet. */
  #measure(bytes: Buffer, start: number, searched: number): number {
    const { maxFrameLength } = this.#framer;
    const length = this.#framer.measure(bytes, start, searched);
    const known = length > 0 ? length : bytes.length - start + 1;
    if (known > maxFrameLength) throw frameTooLong(maxFrameLength);
    assert(length > searched || length === 0, 'a framer that measured otherwise before');
    return length;
  }

  #complete(soFar: Buffer): Buffer | null {
    let gathered = soFar;
    while (this.#length === 0 || this.#filled < this.#length) {
      const left = this.#piece.length - this.#at;
      if (left === 0) return this.#done();
      const searched = this.#filled;
      // Where the frame ends is not known until it is measured, so there may be too much; but at most twice.
      const wanted = this.#length > 0 ? this.#length - searched : Math.max(LEAST_STEP, searched);
      gathered = this.#gather(Math.min(wanted, left));
      if (this.#length === 0) this.#length = this.#measure(gathered.subarray(0, this.#filled), 0, searched);
    }
    const length = this.#length;
    this.#at -= this.#filled - length;
    this.#gathered = null;
    this.#filled = 0;
    this.#length = 0;
    return this.#framer.body(gathered, 0, length);
  }

  /** Takes `count` bytes of the piece. The memory grows with what has come, whatever length was announced. */
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
