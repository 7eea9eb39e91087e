// Frames with a length field at or near their start.
//
//   | offset | length | body       |      length = bytes of the body - adjustment (+ offset + field, if it counts those)
//   |----- strip -----|                  onPacket does not get these bytes

import { bool, type Check, type Checks, checkOptions } from '@overlapped/iocp-native/internal';
import { badFrame, FRAME_LIMIT, type FrameLimit, type Framer, limitOf, NOTHING, wholeNumber } from './framer.js';
import { type LengthField, type LengthSize, lengthField } from './length-fields.js';

/** The position and encoding of a frame's length, and which bytes it counts. */
export interface LengthPrefixOptions extends FrameLimit {
  /** Bytes of the length: 1, 2, 4, 8, or `varint` for a number in base 128, as in Protocol Buffers and MQTT. Default 4. */
  readonly size?: LengthSize;
  /** The lowest byte of the length comes first. Default false: network byte order. */
  readonly littleEndian?: boolean;
  /** The length counts itself and the bytes before it, too. Default false: it counts the bytes behind it. */
  readonly countsHeader?: boolean;
  /** Bytes before the length. Default 0. */
  readonly offset?: number;
  /** Bytes of the frame that the length does not count; negative if it counts more than the frame has. Default 0. */
  readonly adjustment?: number;
  /** Bytes at the frame's start that onPacket does not get. Default: all up to the end of the length field. */
  readonly strip?: number;
}

/**
 * Frames that begin with their length. A length that is negative after adjustment, above 2^53 - 1, or a varint of more than 8 bytes
 * ends the session with EPROTO. sendPacket() takes the same bytes that onPacket gets: if only the length field is stripped, it
 * writes the length; if nothing is stripped (`strip: 0`), it sends the packet as it is.
 */
export function lengthPrefixed(options: LengthPrefixOptions = {}): Framer {
  checkOptions(options, CHECKS);
  return new LengthPrefix(options);
}

const FAR = 2 ** 31;
/** The class checks the numbers, since some ranges depend on other options. */
const any: Check = () => {};
const CHECKS: Checks<LengthPrefixOptions> = {
  ...FRAME_LIMIT,
  size: any,
  littleEndian: bool,
  countsHeader: bool,
  offset: any,
  adjustment: any,
  strip: any,
};

class LengthPrefix implements Framer {
  readonly maxFrameLength: number;
  readonly #field: LengthField;
  readonly #countsHeader: boolean;
  readonly #offset: number;
  readonly #adjustment: number;
  /** -1: strip the header. */
  readonly #strip: number;
  // The header being sent. It is reused, since send() copies it at once.
  readonly #scratch = Buffer.alloc(8);
  readonly #headers = Array.from({ length: 9 }, (_, width) => this.#scratch.subarray(0, width));

  constructor(options: LengthPrefixOptions) {
    const { size = 4, littleEndian = false, countsHeader = false, offset = 0, adjustment = 0, strip } = options;
    this.#field = lengthField(size, littleEndian);
    this.#countsHeader = countsHeader;
    this.#offset = wholeNumber('offset', offset, 0, FAR);
    this.#adjustment = wholeNumber('adjustment', adjustment, -FAR, FAR);
    this.#strip = strip === undefined ? -1 : wholeNumber('strip', strip, 0, FAR);
    this.maxFrameLength = limitOf(options, offset + this.#field.least);
  }

  measure(bytes: Buffer, start: number): number {
    const at = start + this.#offset;
    const field = this.#field;
    const value = field.read(bytes, at);
    if (value < 0) return 0;
    const header = this.#offset + field.widthAt(bytes, at);
    const length = value + this.#adjustment + (this.#countsHeader ? 0 : header);
    if (length >= header && length >= this.#strip) return length;
    throw badFrame(`its length, ${value}, is too short`);
  }

  body(bytes: Buffer, start: number, end: number): Buffer {
    const at = start + this.#offset;
    return bytes.subarray(this.#strip < 0 ? at + this.#field.widthAt(bytes, at) : start + this.#strip, end);
  }

  header(body: Uint8Array): Uint8Array {
    if (this.#strip === 0) return this.#whole(body);
    if (this.#strip > 0 || this.#offset > 0) throw new RangeError('what onPacket does not get is not known here');
    const width = this.#widthFor(body.length);
    const value = body.length - this.#adjustment + (this.#countsHeader ? width : 0);
    if (width < 0 || value < 0 || width + body.length > this.maxFrameLength) {
      throw new RangeError(`a packet of ${body.length} bytes does not fit its frame`);
    }
    this.#field.write(this.#scratch, value);
    return this.#headers[width]!;
  }

  trailer(): Uint8Array {
    return NOTHING;
  }

  /** `strip: 0`: the packet is the whole frame. */
  #whole(frame: Uint8Array): Uint8Array {
    const { buffer, byteOffset, length } = frame;
    if (length <= this.maxFrameLength && this.measure(Buffer.from(buffer, byteOffset, length), 0) === length)
      return NOTHING;
    throw new RangeError('the packet is not the one frame that its length says');
  }

  /** Bytes of the length field for a body; -1 if the length does not fit. A varint that counts itself may need one byte more. */
  #widthFor(body: number): number {
    const value = Math.max(0, body - this.#adjustment);
    const width = this.#field.widthOf(value);
    return this.#countsHeader && width > 0 ? this.#field.widthOf(value + width) : width;
  }
}
