// ValueCodec: whatever it writes reads as structuredClone() gives it, and it never writes past the end.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ValueCodec } from '../src/values.js';

const simple = fc.oneof(
  fc.constantFrom(undefined, null, true, false, 0, -0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, -(2 ** 31)),
  fc.integer(),
  fc.double(),
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\ud800', 'é', 'ÿ', 'Ā', ''),
  fc.uint8Array(),
);
const any = fc.oneof(
  { weight: 4, arbitrary: simple },
  fc.bigInt(),
  fc.date(),
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true }),
);

it('gives values back as structuredClone() does', () => {
  const codec = new ValueCodec(new SharedArrayBuffer(65_536));
  fc.assert(
    fc.property(fc.array(any, { maxLength: 10 }), (values) => {
      for (const value of values) {
        codec.seek(8, 65_536);
        expect(codec.write(value)).toBe(true);
        const end = codec.at;
        codec.seek(8, 65_536);
        expect(codec.read()).toEqual(structuredClone(value));
        expect(codec.at).toBe(end);
      }
      codec.seek(0, 65_536);
      expect(codec.writeAll(values)).toBe(true);
      codec.seek(0, 65_536);
      expect(codec.readAll()).toEqual(structuredClone(values));
    }),
  );
});

it('writes nothing past the end, and says so', () => {
  const memory = new Uint8Array(512);
  const codec = new ValueCodec(memory.buffer);
  fc.assert(
    fc.property(fc.array(any, { maxLength: 5 }), fc.nat(100), (values, room) => {
      memory.fill(255);
      codec.seek(10, 10 + room);
      const fits = codec.writeAll(values);
      expect(memory.subarray(0, 10).every((byte) => byte === 255)).toBe(true);
      expect(memory.subarray(10 + room).every((byte) => byte === 255)).toBe(true);
      if (!fits) return;
      expect(codec.at).toBeLessThanOrEqual(10 + room);
      codec.seek(10, 10 + room);
      expect(codec.readAll()).toEqual(structuredClone(values));
    }),
  );
});

it('keeps what the members of a list have in common', () => {
  const codec = new ValueCodec(new ArrayBuffer(4096));
  const shared = { a: 1 };
  codec.seek(0, 4096);
  expect(codec.writeAll([1, shared, shared])).toBe(true);
  codec.seek(0, 4096);
  const [, b, c] = codec.readAll();
  expect(b).toBe(c);
});

it('has more than 255 values', () => {
  const codec = new ValueCodec(new ArrayBuffer(8192));
  const values = Array.from({ length: 1000 }, (_, i) => i);
  codec.seek(0, 8192);
  expect(codec.writeAll(values)).toBe(true);
  codec.seek(0, 8192);
  expect(codec.readAll()).toEqual(values);
});

it('gives what it reads as a copy, and a Buffer as a Uint8Array', () => {
  const memory = new Uint8Array(64);
  const codec = new ValueCodec(memory.buffer);
  codec.seek(0, 64);
  codec.write(Buffer.from('abc'));
  codec.seek(0, 64);
  const bytes = codec.read() as Uint8Array;
  memory.fill(0);
  expect(bytes.constructor).toBe(Uint8Array);
  expect([...bytes]).toEqual([97, 98, 99]);
});

it.each([
  ['a function', () => {}],
  ['a symbol', Symbol('s')],
  ['shared memory', new SharedArrayBuffer(8)],
  ['a view of shared memory', new Uint8Array(new SharedArrayBuffer(8))],
  ['an object with a function', { a: () => {} }],
])('leaves %s to messages', (_, value) => {
  const codec = new ValueCodec(new ArrayBuffer(4096));
  codec.seek(0, 4096);
  expect(codec.write(value)).toBe(false);
  codec.seek(0, 4096);
  expect(codec.writeAll([1, value])).toBe(false);
});
