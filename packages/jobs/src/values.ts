// How small values cross threads: written as bytes into shared memory, at a fraction of a message's cost. Numbers, strings
// and bytes have a form of their own; other values take V8's, which is that of structuredClone(). What has neither, or
// does not fit, goes by a message.

import { Deserializer, Serializer } from 'node:v8';

const Tag = {
  Undefined: 0,
  Null: 1,
  True: 2,
  False: 3,
  Integer: 4,
  Double: 5,
  Latin1: 6,
  Utf16: 7,
  Bytes: 8,
  Clone: 9,
};
/** In the place of the number of values, for a list that was cloned as one: its members may refer to each other. */
const WHOLE = 255;

/** Writes and reads values in one stretch of memory at a time. */
export class ValueCodec {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #at = 0;
  #end = 0;

  constructor(memory: ArrayBufferLike) {
    this.#bytes = Buffer.from(memory as ArrayBuffer);
    this.#view = new DataView(memory);
  }

  /** Goes on at `at`; nothing is written from `end` on. */
  seek(at: number, end: number): void {
    this.#at = at;
    this.#end = end;
  }

  /** The next byte's place. */
  get at(): number {
    return this.#at;
  }

  /** False when it does not fit, or has no form of bytes. The bytes written then mean nothing. Never throws. */
  write(value: unknown): boolean {
    try {
      return this.#writeSimple(value) || (!isSimple(value) && this.#writeClone(value));
    } catch {
      // Bytes whose memory was transferred, or a getter or proxy that throws. A message says why it cannot be cloned.
      return false;
    }
  }

  /** The same for a list. */
  writeAll(values: readonly unknown[]): boolean {
    try {
      return this.#writeList(values);
    } catch {
      return false;
    }
  }

  read(): unknown {
    switch (this.#bytes[this.#at++]) {
      case Tag.Null:
        return null;
      case Tag.True:
        return true;
      case Tag.False:
        return false;
      case Tag.Integer:
        return this.#view.getInt32(this.#advance(4), true);
      case Tag.Double:
        return this.#view.getFloat64(this.#advance(8), true);
      case Tag.Latin1: {
        const at = this.#advance(this.#length());
        return this.#bytes.toString('latin1', at, this.#at);
      }
      case Tag.Utf16: {
        const at = this.#advance(this.#length());
        return this.#bytes.toString('utf16le', at, this.#at);
      }
      case Tag.Bytes: {
        const at = this.#advance(this.#length());
        return new Uint8Array(this.#bytes.subarray(at, this.#at));
      }
      case Tag.Clone: {
        const at = this.#advance(this.#length());
        const deserializer = new Deserializer(this.#bytes.subarray(at, this.#at));
        deserializer.readHeader();
        return deserializer.readValue();
      }
      default:
        return undefined;
    }
  }

  readAll(): unknown[] {
    const count = this.#bytes[this.#at++]!;
    if (count === WHOLE) return this.read() as unknown[];
    const values: unknown[] = [];
    for (let i = 0; i < count; i++) values.push(this.read());
    return values;
  }

  #writeList(values: readonly unknown[]): boolean {
    const start = this.#at;
    if (values.length < WHOLE && this.#has(1)) {
      this.#bytes[this.#at++] = values.length;
      let i = 0;
      while (i < values.length && this.#writeSimple(values[i])) i++;
      if (i === values.length) return true;
      if (isSimple(values[i])) return false;
    }
    this.#at = start;
    if (!this.#has(1)) return false;
    this.#bytes[this.#at++] = WHOLE;
    return this.#writeClone(values);
  }

  #writeSimple(value: unknown): boolean {
    switch (typeof value) {
      case 'number':
        return this.#writeNumber(value);
      case 'string':
        return this.#writeString(value);
      case 'boolean':
        return this.#writeTag(value ? Tag.True : Tag.False);
      case 'undefined':
        return this.#writeTag(Tag.Undefined);
      default:
        if (value === null) return this.#writeTag(Tag.Null);
        return isBytes(value) && this.#writeBytes(value, Tag.Bytes);
    }
  }

  #writeTag(tag: number): boolean {
    if (!this.#has(1)) return false;
    this.#bytes[this.#at++] = tag;
    return true;
  }

  #writeNumber(value: number): boolean {
    if (!this.#has(9)) return false;
    if ((value | 0) === value && !Object.is(value, -0)) {
      this.#bytes[this.#at++] = Tag.Integer;
      this.#view.setInt32(this.#advance(4), value, true);
    } else {
      this.#bytes[this.#at++] = Tag.Double;
      this.#view.setFloat64(this.#advance(8), value, true);
    }
    return true;
  }

  #writeString(value: string): boolean {
    const { length } = value;
    const bytes = this.#bytes;
    if (!this.#has(3 + length)) return false;
    const start = this.#at;
    bytes[this.#at] = Tag.Latin1;
    this.#view.setUint16(this.#at + 1, length, true);
    this.#at += 3;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 255) {
        this.#at = start;
        return this.#writeUtf16(value);
      }
      bytes[this.#at++] = code;
    }
    return true;
  }

  #writeUtf16(value: string): boolean {
    const length = value.length * 2;
    if (!this.#has(3 + length)) return false;
    this.#bytes[this.#at] = Tag.Utf16;
    this.#view.setUint16(this.#at + 1, length, true);
    this.#bytes.write(value, this.#at + 3, 'utf16le');
    this.#at += 3 + length;
    return true;
  }

  #writeBytes(value: Uint8Array, tag: number): boolean {
    const { length } = value;
    if (!this.#has(3 + length)) return false;
    this.#bytes[this.#at] = tag;
    this.#view.setUint16(this.#at + 1, length, true);
    this.#bytes.set(value, this.#at + 3);
    this.#at += 3 + length;
    return true;
  }

  #writeClone(value: unknown): boolean {
    const at = this.#at;
    const end = this.#end;
    const serializer = new Serializer();
    serializer.writeHeader();
    serializer.writeValue(value);
    // A getter may have used this codec meanwhile.
    this.seek(at, end);
    return this.#writeBytes(serializer.releaseBuffer(), Tag.Clone);
  }

  #has(bytes: number): boolean {
    return this.#at + bytes <= this.#end;
  }

  /** Goes on by `bytes`, and gives the place before. */
  #advance(bytes: number): number {
    const { at } = this;
    this.#at = at + bytes;
    return at;
  }

  #length(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }
}

/** Has a form of its own: when that does not fit, no other does. */
function isSimple(value: unknown): boolean {
  return value === null || (typeof value !== 'object' && typeof value !== 'bigint') || isBytes(value);
}

/** Also a Buffer, which arrives as a Uint8Array, as by structuredClone(). A subclass of the user's has V8's form. */
function isBytes(value: unknown): value is Uint8Array {
  return (
    value instanceof Uint8Array &&
    !(value.buffer instanceof SharedArrayBuffer) &&
    (value.constructor === Uint8Array || value.constructor === Buffer)
  );
}
