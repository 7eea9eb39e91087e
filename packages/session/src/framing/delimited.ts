// Frames that end with a delimiter, and lines.

import { checkOptions, wrongType } from '@overlapped/iocp-native/internal';
import { FRAME_LIMIT, type FrameLimit, type Framer, limitOf, NOTHING } from './framer.js';

/**
 * Frames that end with a delimiter, which onPacket does not get. Bytes without a delimiter at the peer's end are not a frame
 * (EPROTO). sendPacket() throws a RangeError for a packet that contains the delimiter.
 */
export function delimited(delimiter: Uint8Array | string, options: FrameLimit = {}): Framer {
  if (typeof delimiter !== 'string' && !(delimiter instanceof Uint8Array))
    throw wrongType('delimiter', 'a string or a Uint8Array', delimiter);
  checkOptions(options, FRAME_LIMIT);
  return new Delimited(Buffer.from(delimiter as string), options);
}

/** Lines, which end with \n or \r\n. sendPacket() writes \n. For protocols that require \r\n use `delimited('\r\n')`. */
export function lines(options: FrameLimit = {}): Framer {
  checkOptions(options, FRAME_LIMIT);
  return new Lines(Buffer.from('\n'), options);
}

class Delimited implements Framer {
  readonly maxFrameLength: number;
  readonly #delimiter: Buffer;
  /** The delimiter; a number if it has one byte, since that search is faster. */
  readonly #sought: Buffer | number;

  constructor(delimiter: Buffer, options: FrameLimit) {
    if (delimiter.length === 0) throw new RangeError('a delimiter has at least one byte');
    this.#delimiter = delimiter;
    this.#sought = delimiter.length === 1 ? delimiter[0]! : delimiter;
    this.maxFrameLength = limitOf(options, delimiter.length);
  }

  measure(bytes: Buffer, start: number, searched: number): number {
    const { length } = this.#delimiter;
    // The first bytes of the delimiter may be among those already searched.
    const found = bytes.indexOf(this.#sought, start + Math.max(0, searched - length + 1));
    return found < 0 ? 0 : found + length - start;
  }

  body(bytes: Buffer, start: number, end: number): Buffer {
    return bytes.subarray(start, end - this.#delimiter.length);
  }

  header(body: Uint8Array): Uint8Array {
    const { length } = this.#delimiter;
    if (body.length + length > this.maxFrameLength || this.#endsEarly(body)) {
      throw new RangeError(`a packet of ${body.length} bytes is too long, or has a delimiter in it`);
    }
    return NOTHING;
  }

  trailer(): Uint8Array {
    return this.#delimiter;
  }

  /** Whether the peer would find a delimiter before the one behind the body. */
  #endsEarly(body: Uint8Array): boolean {
    const { buffer, byteOffset, length } = body;
    if (Buffer.from(buffer, byteOffset, length).includes(this.#sought)) return true;
    // A delimiter may begin in the body and end in the delimiter behind it.
    const last = body.subarray(Math.max(0, length - this.#delimiter.length + 1));
    return Buffer.concat([last, this.#delimiter]).indexOf(this.#delimiter) < last.length;
  }
}

const CARRIAGE_RETURN = 13;

class Lines extends Delimited {
  override body(bytes: Buffer, start: number, end: number): Buffer {
    const last = end - 2;
    return bytes.subarray(start, last >= start && bytes[last] === CARRIAGE_RETURN ? last : end - 1);
  }

  override header(body: Uint8Array): Uint8Array {
    if (body.at(-1) === CARRIAGE_RETURN) throw new RangeError('a line does not end with a carriage return');
    return super.header(body);
  }
}
