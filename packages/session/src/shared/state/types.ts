// The types that a field of a shared session's state can have, and how each of them lies in memory. Numbers are little-endian.

import { isUint8Array } from 'node:util/types';
import { byteOffsetOf, lengthOf, memoryOf } from '@overlapped/iocp-native/internal';

/** Memory that holds states, as one thread sees it. */
export interface StateMemory {
  /** The same bytes as `bytes`. */
  readonly view: DataView;
  /** All states. */
  readonly bytes: Buffer;
}

/** Limit of a text(n) or bytes(n), in bytes: its length takes two bytes. */
const MOST_BYTES = 65_535;
const LENGTH_SIZE = 2;
/** Limit of an array(type, n), in elements. */
const MOST_ELEMENTS = 65_535;
/** A half of a surrogate pair on its own, which UTF-8 cannot express. */
const LONE_SURROGATE = /\p{Surrogate}/u;

const kKind = Symbol('kind');

/**
 * The type of one value. Made by `u8`, `u16`, `u32`, `i8`, `i16`, `i32`, `i64`, `f32`, `f64`, `bool`, `text()` and `bytes()`; an object
 * of another origin is refused.
 */
export interface StateType<Value> {
  /** Tells it from the type of an array. */
  readonly [kKind]: 'value';
  /** Bytes that a value takes. */
  readonly size: number;
  /** Its place in memory is a multiple of so many bytes. */
  readonly align: number;
  /** The value whose first byte is at `at`. */
  read(memory: StateMemory, at: number): Value;
  /** Throws a TypeError or a RangeError, which names the field, before anything is written. */
  write(memory: StateMemory, at: number, value: Value, field: string): void;
}

/** The type of an array of a fixed number of elements. Made by `array()`. */
export interface StateArrayType<Value> {
  /** Tells it from the type of a value. */
  readonly [kKind]: 'array';
  /** The type of its elements. */
  readonly element: StateType<Value>;
  /** How many elements it has. */
  readonly length: number;
}

type Read<Value> = StateType<Value>['read'];
type Write<Value> = StateType<Value>['write'];

/** The size is rounded up to a multiple of the alignment. */
function valueType<Value>(bytes: number, align: number, read: Read<Value>, write: Write<Value>): StateType<Value> {
  const size = Math.ceil(bytes / align) * align;
  return Object.freeze({ [kKind]: 'value' as const, size, align, read, write });
}

/** The range is checked first: DataView would take any value modulo 2 to the power of its bits. */
function checkWhole(value: number, least: number, most: number, field: string): void {
  if (typeof value !== 'number') throw wrongType(field, 'a number');
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`Cannot set ${field}: ${value} is not a whole number from ${least} to ${most}`);
}

function checkNumber(value: number, field: string): void {
  if (typeof value !== 'number') throw wrongType(field, 'a number');
}

function wrongType(field: string, expected: string): TypeError {
  return new TypeError(`Cannot set ${field}: the value must be ${expected}`);
}

/** A whole number from 0 to 255. */
export const u8: StateType<number> = valueType(
  1,
  1,
  ({ view }, at) => view.getUint8(at),
  ({ view }, at, value, field) => {
    checkWhole(value, 0, 0xff, field);
    view.setUint8(at, value);
  },
);

/** A whole number from 0 to 65,535. */
export const u16: StateType<number> = valueType(
  2,
  2,
  ({ view }, at) => view.getUint16(at, true),
  ({ view }, at, value, field) => {
    checkWhole(value, 0, 0xffff, field);
    view.setUint16(at, value, true);
  },
);

/** A whole number from 0 to 4,294,967,295. */
export const u32: StateType<number> = valueType(
  4,
  4,
  ({ view }, at) => view.getUint32(at, true),
  ({ view }, at, value, field) => {
    checkWhole(value, 0, 0xffff_ffff, field);
    view.setUint32(at, value, true);
  },
);

/** A whole number from -128 to 127. */
export const i8: StateType<number> = valueType(
  1,
  1,
  ({ view }, at) => view.getInt8(at),
  ({ view }, at, value, field) => {
    checkWhole(value, -0x80, 0x7f, field);
    view.setInt8(at, value);
  },
);

/** A whole number from -32,768 to 32,767. */
export const i16: StateType<number> = valueType(
  2,
  2,
  ({ view }, at) => view.getInt16(at, true),
  ({ view }, at, value, field) => {
    checkWhole(value, -0x8000, 0x7fff, field);
    view.setInt16(at, value, true);
  },
);

/** A whole number from -2,147,483,648 to 2,147,483,647. */
export const i32: StateType<number> = valueType(
  4,
  4,
  ({ view }, at) => view.getInt32(at, true),
  ({ view }, at, value, field) => {
    checkWhole(value, -0x8000_0000, 0x7fff_ffff, field);
    view.setInt32(at, value, true);
  },
);

/** A bigint of 64 bits, with a sign. Each read makes a bigint. */
export const i64: StateType<bigint> = valueType(
  8,
  8,
  ({ view }, at) => view.getBigInt64(at, true),
  ({ view }, at, value, field) => {
    if (typeof value !== 'bigint') throw wrongType(field, 'a bigint');
    if (BigInt.asIntN(64, value) !== value)
      throw new RangeError(`Cannot set ${field}: ${value} needs more than 64 bits`);
    view.setBigInt64(at, value, true);
  },
);

/** A number, rounded to single precision: about 7 decimal digits. */
export const f32: StateType<number> = valueType(
  4,
  4,
  ({ view }, at) => view.getFloat32(at, true),
  ({ view }, at, value, field) => {
    checkNumber(value, field);
    view.setFloat32(at, value, true);
  },
);

/** Any number. */
export const f64: StateType<number> = valueType(
  8,
  8,
  ({ view }, at) => view.getFloat64(at, true),
  ({ view }, at, value, field) => {
    checkNumber(value, field);
    view.setFloat64(at, value, true);
  },
);

/** `true` or `false`, in one byte. */
export const bool: StateType<boolean> = valueType(
  1,
  1,
  ({ view }, at) => view.getUint8(at) !== 0,
  ({ view }, at, value, field) => {
    if (typeof value !== 'boolean') throw wrongType(field, 'true or false');
    view.setUint8(at, value ? 1 : 0);
  },
);

/**
 * A string of at most `n` bytes of UTF-8 (1 to 65,535); it takes `n + 2` bytes. Each read makes a string. A longer string is not
 * cut: setting it throws a RangeError that says how many bytes it needs. A string with a lone surrogate throws a TypeError.
 */
export function text(n: number): StateType<string> {
  checkSize('text(n)', n, MOST_BYTES);
  return valueType(
    LENGTH_SIZE + n,
    LENGTH_SIZE,
    ({ view, bytes }, at) => {
      // Memory that was overwritten must not have a read go past the field.
      const length = Math.min(view.getUint16(at, true), n);
      const start = at + LENGTH_SIZE;
      return length === 0 ? '' : bytes.toString('utf8', start, start + length);
    },
    ({ view, bytes }, at, value, field) => {
      if (typeof value !== 'string') throw wrongType(field, 'a string');
      if (LONE_SURROGATE.test(value)) throw new TypeError(`Cannot set ${field}: the string has a lone surrogate`);
      const length = Buffer.byteLength(value);
      if (length > n) throw tooLong(field, length, n);
      bytes.write(value, at + LENGTH_SIZE, length);
      view.setUint16(at, length, true);
    },
  );
}

/**
 * At most `n` bytes (1 to 65,535); it takes `n + 2` bytes. Each read makes a Buffer, a copy. Setting takes any Uint8Array and
 * throws a RangeError if that is longer.
 */
export function bytes(n: number): StateType<Uint8Array> {
  checkSize('bytes(n)', n, MOST_BYTES);
  return valueType<Uint8Array>(
    LENGTH_SIZE + n,
    LENGTH_SIZE,
    (memory, at) => {
      const length = Math.min(memory.view.getUint16(at, true), n);
      const copy = Buffer.alloc(length);
      memory.bytes.copy(copy, 0, at + LENGTH_SIZE, at + LENGTH_SIZE + length);
      return copy;
    },
    (memory, at, value, field) => {
      if (!isUint8Array(value)) throw wrongType(field, 'a Buffer or a Uint8Array');
      const length = lengthOf(value);
      if (length > n) throw tooLong(field, length, n);
      // The caller's array is read by its internal slots. Memory that is detached has the length 0.
      if (length > 0) memory.bytes.set(new Uint8Array(memoryOf(value), byteOffsetOf(value), length), at + LENGTH_SIZE);
      memory.view.setUint16(at, length, true);
    },
  );
}

/**
 * `n` elements of one type (1 to 65,535), which may be any but an array. The field is a `StateArray`, whose elements are read by
 * `get(index)` and written by `set(index, value)`. The field itself cannot be assigned.
 */
export function array<Value>(type: StateType<Value>, n: number): StateArrayType<Value> {
  if (!isValueType(type)) throw new TypeError('array(type, n) takes a type of one value, such as u8 or text(8)');
  checkSize('array(type, n)', n, MOST_ELEMENTS);
  return Object.freeze({ [kKind]: 'array' as const, element: type as StateType<Value>, length: n });
}

export function isValueType(type: unknown): type is StateType<unknown> {
  return kindOf(type) === 'value';
}

export function isArrayType(type: unknown): type is StateArrayType<unknown> {
  return kindOf(type) === 'array';
}

function kindOf(type: unknown): unknown {
  return typeof type === 'object' && type !== null ? (type as { [kKind]?: unknown })[kKind] : undefined;
}

function checkSize(name: string, n: number, most: number): void {
  if (typeof n !== 'number') throw new TypeError(`n of ${name} must be a number`);
  if (!Number.isInteger(n) || n < 1 || n > most) {
    throw new RangeError(`n of ${name} must be a whole number from 1 to ${most}, and is ${n}`);
  }
}

function tooLong(field: string, length: number, room: number): RangeError {
  return new RangeError(`Cannot set ${field}: the value has ${length} bytes, and there is room for ${room}`);
}
