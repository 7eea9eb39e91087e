// Frames of one fixed length.

import { constants } from 'node:buffer';
import { type Framer, NOTHING, wholeNumber } from './framer.js';

/** Frames of `length` bytes each. sendPacket() throws a RangeError for a packet of another length. */
export function fixedLength(length: number): Framer {
  return new FixedLength(wholeNumber('length', length, 1, constants.MAX_LENGTH));
}

class FixedLength implements Framer {
  readonly maxFrameLength: number;

  constructor(length: number) {
    this.maxFrameLength = length;
  }

  measure(): number {
    return this.maxFrameLength;
  }

  body(bytes: Buffer, start: number, end: number): Buffer {
    return bytes.subarray(start, end);
  }

  header(body: Uint8Array): Uint8Array {
    if (body.length === this.maxFrameLength) return NOTHING;
    throw new RangeError(`a packet has ${this.maxFrameLength} bytes, not ${body.length}`);
  }

  trailer(): Uint8Array {
    return NOTHING;
  }
}
