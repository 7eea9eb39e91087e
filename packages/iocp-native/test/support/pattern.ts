// Bytes that tell where they belong: a random sequence with a long prime period, so that a byte lost, doubled or out of
// place shows in the next comparison.

import type { NativeBlock } from '../../src/native/memory.js';

export const PERIOD = 1_048_573;

const pattern = Buffer.alloc(PERIOD * 2);
let state = 0x9e3779b9;
for (let i = 0; i < PERIOD; i++) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  pattern[i] = state;
}
pattern.copyWithin(PERIOD, 0, PERIOD);

/** `length` bytes (PERIOD at most) of the stream, from `position`. Not to be written to. */
function patternAt(position: number, length: number): Buffer {
  const start = position % PERIOD;
  return pattern.subarray(start, start + length);
}

/** A copy of the first `length` bytes of the stream. */
export function patternOf(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += PERIOD) patternAt(at, Math.min(PERIOD, length - at)).copy(bytes, at);
  return bytes;
}

/** Fills a block so that the stream can be sent from it: bytes at `position % PERIOD`. */
export function fillPattern(block: NativeBlock): void {
  pattern.copy(block.bytes, 0, 0, block.size);
}

/** Follows a stream of the pattern. */
export class PatternCheck {
  position = 0;

  /** Throws at the first chunk that is not what comes next. */
  next(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += PERIOD) {
      const piece = chunk.subarray(at, at + PERIOD);
      const expected = patternAt(this.position, piece.length);
      if (piece.compare(expected) !== 0) {
        const wrong = piece.findIndex((byte, i) => byte !== expected[i]);
        throw new Error(`byte ${this.position + wrong} of the stream is wrong`);
      }
      this.position += piece.length;
    }
  }
}
