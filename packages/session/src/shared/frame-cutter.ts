// FrameCutter: cuts the bytes that a thread has received for a session into frames, as FrameReader does for a session of one thread. What is
// left lies in the session's frame buffer, where the thread of its next turn finds it.

import { IocpError } from '@overlapped/iocp-native';
import { LEAST_STEP, measureFrame } from '../framing/frame-reader.js';
import { type Framer, NOTHING } from '../framing/framer.js';
import { FRAME_WORDS, type FrameBuffers } from './memory/frame-buffers.js';

/** Words behind those of the frame buffer. */
const Word = {
  /** The length of the frame at the buffer's start: 0 while unknown, or UNMEASURED. */
  Length: FRAME_WORDS,
  /** How many frames came in parts. */
  Parted: FRAME_WORDS + 1,
} as const;

/** The length of the frame at the start of a buffer, if it has not been measured: whole frames may follow. */
const UNMEASURED = -1;
/** A longer frame than any buffer holds. */
const ENDLESS = 2 ** 31 - 1;

export class FrameCutter {
  readonly #buffers: FrameBuffers;
  readonly #words: Int32Array;
  /** The current piece, and the offset of its first byte that has not been returned or kept. */
  #piece: Buffer = NOTHING;
  #at = 0;

  /** @param words where the buffers, and the words behind them, lie */
  constructor(buffers: FrameBuffers, words: Int32Array) {
    this.#buffers = buffers;
    this.#words = words;
  }

  /** Adds the next bytes of the session whose frames next() gives from now on. */
  add(piece: Buffer): void {
    this.#piece = piece;
    this.#at = 0;
  }

  /** Whether next() may have a frame without more bytes. */
  waits(buffer: number): boolean {
    return this.#words[buffer + Word.Length] === UNMEASURED;
  }

  /**
   * The next frame. Null if there is no whole frame; its part lies in the session's buffer then. Throws an IocpError: EMSGSIZE
   * for a frame that is too long, EPROTO for bytes that are not a frame, ENOBUFS if the buffer cannot hold a half frame.
   * @param slot the session's record
   * @param buffer the first word of its frame buffer
   */
  next(slot: number, buffer: number, framer: Framer): Buffer | null {
    if (this.#buffers.lengthOf(buffer) > 0) return this.#complete(slot, buffer, framer);
    const start = this.#at;
    const left = this.#piece.length - start;
    if (left === 0) return null;
    const measured = measureFrame(framer, this.#piece, start, 0);
    if (measured === 0 || measured > left) {
      this.#words[buffer + Word.Length] = Math.min(measured, ENDLESS);
      this.#words[buffer + Word.Parted]!++;
      this.#keep(slot, buffer, left, measured || framer.maxFrameLength);
      return null;
    }
    this.#at = start + measured;
    return framer.body(this.#piece, start, this.#at);
  }

  /** Keeps the bytes that next() has not returned, for a later turn. Throws an IocpError (ENOBUFS). */
  keepRest(slot: number, buffer: number): void {
    const left = this.#piece.length - this.#at;
    if (left === 0) return;
    this.#words[buffer + Word.Length] = UNMEASURED;
    this.#keep(slot, buffer, left, left);
  }

  /** The bytes that keepRest() has kept, for a session without frames. */
  takeRest(buffer: number): Buffer {
    this.#words[buffer + Word.Length] = 0;
    return this.#buffers.take(buffer, this.#buffers.lengthOf(buffer));
  }

  /** The frame that begins in the buffer. */
  #complete(slot: number, buffer: number, framer: Framer): Buffer | null {
    const buffers = this.#buffers;
    const words = this.#words;
    const length = buffer + Word.Length;
    let had = buffers.lengthOf(buffer);
    let kept = 0;
    if (words[length] === UNMEASURED) {
      words[length] = measureKept(framer, buffers.view(buffer), 0);
      words[buffer + Word.Parted]!++;
    }
    while (words[length] === 0 || had < words[length]!) {
      const left = this.#piece.length - this.#at;
      if (left === 0) return null;
      // The end of a frame of unknown length is not known, so this may keep too much; at most twice as much.
      const wanted = words[length] === 0 ? Math.max(LEAST_STEP, had) : words[length]! - had;
      const count = Math.min(wanted, left);
      this.#keep(slot, buffer, count, words[length] || framer.maxFrameLength);
      kept += count;
      if (words[length] === 0) words[length] = measureKept(framer, buffers.view(buffer), had);
      had += count;
    }
    const measured = words[length]!;
    // Bytes behind the frame that have just been kept are read from the piece again.
    const back = Math.min(had - measured, kept);
    if (back > 0) buffers.drop(buffer, back);
    this.#at -= back;
    words[length] = had - measured - back > 0 ? UNMEASURED : 0;
    return framer.body(buffers.take(buffer, measured), 0, measured);
  }

  #keep(slot: number, buffer: number, count: number, most: number): void {
    if (!this.#buffers.append(buffer, slot, this.#piece, this.#at, count, most)) {
      throw new IocpError('read a frame', 'too many bytes of half frames wait already', 'ENOBUFS', 'receive');
    }
    this.#at += count;
  }
}

function measureKept(framer: Framer, bytes: Buffer, searched: number): number {
  return Math.min(measureFrame(framer, bytes, 0, searched), ENDLESS);
}

/**
 * The number of the half frame in a buffer among those of its session that came in parts, from 1; 0 if there is none. Any thread may
 * ask.
 * @param words where the buffer lies
 */
export function partialFrame(buffers: FrameBuffers, words: Int32Array, buffer: number): number {
  const half = buffers.lengthOf(buffer) > 0 && words[buffer + Word.Length] !== UNMEASURED;
  return half ? words[buffer + Word.Parted]! : 0;
}
