// Length fields of frames: integers of 1, 2, 4 or 8 bytes in either byte order, or varints.

import { badFrame } from './framer.js';

/** Bytes of a length field, or `varint` for as many as the number needs at 7 bits a byte. */
export type LengthSize = 1 | 2 | 4 | 8 | 'varint';

/** The encoding of a length. `at` is the position of its first byte. */
export interface LengthField {
  /** Bytes of the shortest field. */
  readonly least: number;
  /** The length, or -1 if the field is incomplete. Throws an IocpError (EPROTO) if it is above 2^53 - 1. */
  read(bytes: Buffer, at: number): number;
  /** Bytes of the field at a position. */
  widthAt(bytes: Buffer, at: number): number;
  /** Bytes of the field for a length, or -1 if the length does not fit. */
  widthOf(length: number): number;
  write(into: Buffer, length: number): void;
}

export function lengthField(size: LengthSize, littleEndian: boolean): LengthField {
  if (size === 'varint') return new Varint();
  if (size === 1 || size === 2 || size === 4 || size === 8) return new FixedField(size, littleEndian);
  throw new RangeError(`a length has 1, 2, 4 or 8 bytes, or is a varint, not ${size}`);
}

const WORD = 2 ** 32;

class FixedField implements LengthField {
  readonly least: number;
  readonly #littleEndian: boolean;

  constructor(size: 1 | 2 | 4 | 8, littleEndian: boolean) {
    this.least = size;
    this.#littleEndian = littleEndian;
  }

  read(bytes: Buffer, at: number): number {
    const size = this.least;
    if (bytes.length - at < size) return -1;
    const little = this.#littleEndian;
    if (size === 4) return little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
    if (size === 2) return little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
    if (size === 1) return bytes[at]!;
    const high = little ? bytes.readUInt32LE(at + 4) : bytes.readUInt32BE(at);
    const low = little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at + 4);
    return safe(high * WORD + low);
  }

  widthAt(): number {
    return this.least;
  }

  widthOf(length: number): number {
    return length < 2 ** (8 * this.least) ? this.least : -1;
  }

  write(into: Buffer, length: number): void {
    let rest = length;
    for (let i = 0; i < this.least; i++) {
      into[this.#littleEndian ? i : this.least - 1 - i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
  }
}

/** 53 bits, at 7 bits a byte. */
const LONGEST_VARINT = 8;

/**
 * Base 128: seven bits a byte, lowest first. The top bit is set if more bytes follow.
 * https://protobuf.dev/programming-guides/encoding/#varints
 */
class Varint implements LengthField {
  readonly least = 1;

  read(bytes: Buffer, at: number): number {
    let length = 0;
    let weight = 1;
    for (let i = 0; i < LONGEST_VARINT; i++) {
      if (at + i >= bytes.length) return -1;
      const byte = bytes[at + i]!;
      length += (byte & 0x7f) * weight;
      if (byte < 0x80) return safe(length);
      weight *= 128;
    }
    throw badFrame(`its length has more than ${LONGEST_VARINT} bytes`);
  }

  widthAt(bytes: Buffer, at: number): number {
    let end = at;
    while (bytes[end]! >= 0x80) end++;
    return end + 1 - at;
  }

  widthOf(length: number): number {
    let width = 1;
    for (let most = 128; length >= most; most *= 128) width++;
    return width;
  }

  write(into: Buffer, length: number): void {
    let rest = length;
    let at = 0;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) into[at++] = (rest % 128) | 0x80;
    into[at] = rest;
  }
}

function safe(length: number): number {
  if (Number.isSafeInteger(length)) return length;
  throw badFrame('its length is past 2^53 - 1');
}
