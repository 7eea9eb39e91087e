// Framers against a simple model: TCP has no messages, so every frame comes out whole wherever the stream is cut, and
// whatever bytes come, memory is bounded and the end is an IocpError.

import { isIocpError } from '@overlapped/iocp-native';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FrameReader } from '../../src/framing/frame-reader.js';
import { delimited, encodeFrame, type Framer, fixedLength, lengthPrefixed, lines } from '../../src/index.js';
import { fixed, type Kind, kinds, varint } from './kinds.js';

interface Outcome {
  readonly packets: string[];
  /** Of what ended it. */
  readonly code?: string;
  readonly partial?: boolean;
}

/** Reads a stream that comes in pieces. */
function readAll(framer: Framer, pieces: readonly Uint8Array[]): Outcome {
  const reader = new FrameReader(framer);
  const packets: string[] = [];
  try {
    for (const piece of pieces) {
      reader.add(Buffer.from(piece));
      for (let packet = reader.next(); packet !== null; packet = reader.next()) packets.push(packet.toString('hex'));
    }
  } catch (error) {
    if (!isIocpError(error)) throw error;
    return { packets, code: error.code };
  }
  return { packets, partial: reader.partialFrame > 0 };
}

function cut(bytes: Buffer, points: readonly number[]): Buffer[] {
  const sorted = [0, ...points.map((point) => point % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i]!, end));
}

function streamOf(
  { frame, body = (bytes) => bytes, packet = (bytes) => bytes }: Kind,
  contents: readonly Uint8Array[],
) {
  const bodies = contents.map((content) => body(Buffer.from(content)));
  const frames = bodies.map(frame);
  const packets = bodies.map((bytes, i) => packet(bytes, frames[i]!).toString('hex'));
  return { bytes: Buffer.concat(frames), packets };
}

const contents = fc.array(fc.uint8Array({ maxLength: 200, size: 'max' }), { maxLength: 12 });
const points = fc.array(fc.nat(), { maxLength: 30 });
const few = [[1, 2, 3], [], [59, 13, 10, 9, 9], Array.from({ length: 90 }, (_, i) => i)].map((a) => Uint8Array.from(a));

let allocated: number[] = [];
beforeEach(() => {
  allocated = [];
  const { alloc } = Buffer;
  vi.spyOn(Buffer, 'alloc').mockImplementation((size, ...fill) => {
    allocated.push(size);
    return alloc(size, ...fill);
  });
});
afterEach(() => vi.restoreAllMocks());

describe.each(kinds)('$name', (kind) => {
  const { framer } = kind;

  test('is read whole, cut at every point, and byte by byte', () => {
    const { bytes, packets } = streamOf(kind, few);
    for (let i = 0; i <= bytes.length; i++) {
      expect(readAll(framer, cut(bytes, [i]))).toEqual({ packets, partial: false });
    }
    const single = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    expect(readAll(framer, single)).toEqual({ packets, partial: false });
  });

  test('is read whole, wherever it is cut', () => {
    fc.assert(
      fc.property(contents, points, (all, where) => {
        const { bytes, packets } = streamOf(kind, all);
        expect(readAll(framer, cut(bytes, where))).toEqual({ packets, partial: false });
      }),
    );
  });

  test('a part of a frame is noticed', () => {
    const { bytes } = streamOf(kind, few.slice(3));
    for (let i = 1; i < bytes.length; i++) expect(readAll(framer, [bytes.subarray(0, i)]).partial).toBe(true);
  });

  test('any bytes give the same, however they are cut, and cost memory by their length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1500, size: 'max' }), points, (any, where) => {
        const bytes = Buffer.from(any);
        allocated = [];
        const whole = readAll(framer, [bytes]);
        expect(readAll(framer, cut(bytes, where))).toEqual(whole);
        expect(Math.max(0, ...allocated)).toBeLessThanOrEqual(Math.min(framer.maxFrameLength, 4 * bytes.length + 512));
        if (whole.code !== undefined) expect(['EMSGSIZE', 'EPROTO']).toContain(whole.code);
      }),
    );
  });

  // Where a part is known to the peer alone, nothing can be written.
  test.skipIf(kind.receiveOnly)('is written as it is read', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), (content) => {
        const { bytes, packets } = streamOf(kind, [content]);
        const packet = Buffer.from(packets[0]!, 'hex');
        expect(encodeFrame(framer, packet).equals(bytes)).toBe(true);
      }),
    );
  });
});

describe('limits', () => {
  test.each<[string, Framer, Buffer]>([
    ['a length', lengthPrefixed({ maxFrameLength: 100 }), Buffer.concat([fixed(96, 4), Buffer.alloc(96)])],
    ['a delimiter', delimited('--', { maxFrameLength: 100 }), Buffer.from(`${'x'.repeat(98)}--`)],
    ['a line', lines({ maxFrameLength: 100 }), Buffer.from(`${'x'.repeat(98)}\r\n`)],
  ])('%s: the limit is taken, and one byte more is too long', (_, framer, longest) => {
    expect(readAll(framer, [longest, longest.subarray(0, 50), longest.subarray(50)]).packets).toHaveLength(2);
    const longer =
      longest[0] === 0 ? Buffer.concat([fixed(97, 4), Buffer.alloc(97)]) : Buffer.concat([Buffer.from('x'), longest]);
    const single = Array.from(longer, (_, i) => longer.subarray(i, i + 1));
    for (const pieces of [[longer], single]) expect(readAll(framer, pieces)).toEqual({ packets: [], code: 'EMSGSIZE' });
  });

  test('a length that is announced costs nothing before it comes', () => {
    const framer = lengthPrefixed({ maxFrameLength: 2 ** 31 });
    const start = Buffer.concat([fixed(2 ** 30, 4), Buffer.alloc(600)]);
    allocated = [];
    expect(readAll(framer, cut(start, [2, 300])).partial).toBe(true);
    expect(allocated.length).toBeGreaterThan(0);
    expect(Math.max(...allocated)).toBeLessThanOrEqual(4 * start.length);
  });

  test('a large frame is gathered in memory of its own length in the end', () => {
    const body = Buffer.alloc(1_000_000, 'abc');
    const bytes = Buffer.concat([fixed(body.length, 4), body]);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 8000) }, (_, i) =>
      bytes.subarray(i * 8000, i * 8000 + 8000),
    );
    allocated = [];
    expect(readAll(lengthPrefixed(), pieces).packets).toEqual([body.toString('hex')]);
    expect(allocated.at(-1)).toBe(bytes.length);
    expect(allocated.length).toBeLessThan(6);
  });

  test('a frame that lies whole in a piece is a view of it', () => {
    const reader = new FrameReader(lengthPrefixed());
    const piece = Buffer.from([0, 0, 0, 1, 7]);
    reader.add(piece);
    const packet = reader.next()!;
    piece[4] = 8;
    expect(packet[0]).toBe(8);
  });
});

describe('what is no frame', () => {
  const far = Buffer.from([0, 0x20, 0, 0, 0, 0, 0, 0]);
  test.each<[string, Framer, Buffer]>([
    ['a length past 2^53 - 1', lengthPrefixed({ size: 8 }), far],
    ['the same, little-endian', lengthPrefixed({ size: 8, littleEndian: true }), Buffer.from(far).reverse()],
    ['a varint past 2^53 - 1', lengthPrefixed({ size: 'varint' }), varint(2 ** 53)],
    ['a varint that does not end', lengthPrefixed({ size: 'varint' }), Buffer.alloc(9, 0x80)],
    ['a length below 0 after adjustment', lengthPrefixed({ size: 1, adjustment: -3 }), Buffer.from([2])],
    [
      'a length that counts itself and is below that',
      lengthPrefixed({ size: 2, countsHeader: true }),
      Buffer.from([0, 1]),
    ],
    ['a frame that is shorter than what is stripped', lengthPrefixed({ size: 1, strip: 5 }), Buffer.from([3, 0, 0, 0])],
  ])('%s', (_, framer, bytes) => {
    expect(readAll(framer, [bytes])).toEqual({ packets: [], code: 'EPROTO' });
  });

  test('the longest lengths that there are, are just too long', () => {
    expect(readAll(lengthPrefixed({ size: 8 }), [fixed(Number.MAX_SAFE_INTEGER, 8)]).code).toBe('EMSGSIZE');
    expect(readAll(lengthPrefixed({ size: 'varint' }), [varint(Number.MAX_SAFE_INTEGER)]).code).toBe('EMSGSIZE');
  });
});

describe('what cannot be sent', () => {
  test.each<[string, Framer, string]>([
    ['more than the limit', lengthPrefixed({ maxFrameLength: 10 }), 'x'.repeat(7)],
    ['more than the length can say', lengthPrefixed({ size: 1 }), 'x'.repeat(256)],
    ['more than it can say with itself', lengthPrefixed({ size: 1, countsHeader: true }), 'x'.repeat(255)],
    ['less than the adjustment', lengthPrefixed({ adjustment: 5 }), 'abc'],
    ['a frame whose length says otherwise', lengthPrefixed({ size: 1, strip: 0 }), '\x05abc'],
    ['two frames at once', lengthPrefixed({ size: 1, strip: 0 }), '\x01a\x01b'],
    ['a header that only the peer knows', lengthPrefixed({ offset: 2 }), 'abc'],
    ['a delimiter', delimited('--'), 'a--b'],
    ['one that begins in the body', delimited('aa'), 'ba'],
    ['a line that is two', lines(), 'a\nb'],
    ['a line whose end would be lost', lines(), 'a\r'],
    ['a line that is too long', lines({ maxFrameLength: 10 }), 'x'.repeat(10)],
    ['another length', fixedLength(3), 'ab'],
  ])('%s', (_, framer, packet) => {
    expect(() => encodeFrame(framer, packet)).toThrow(RangeError);
  });
});

test.each([
  () => lengthPrefixed({ maxFrameLength: 3 }),
  () => lengthPrefixed({ maxFrameLength: 1.5 }),
  () => lengthPrefixed({ size: 3 as 4 }),
  () => lengthPrefixed({ offset: -1 }),
  () => lengthPrefixed({ strip: -1 }),
  () => lengthPrefixed({ adjustment: 0.5 }),
  () => delimited(''),
  () => fixedLength(0),
])('options that make no sense are refused: %s', (make) => {
  expect(make).toThrow(RangeError);
});

test('a framer that contradicts itself is a bug, and no endless loop', () => {
  for (const length of [-1, Number.NaN]) {
    const framer: Framer = { ...fixedLength(1), maxFrameLength: 10, measure: () => length };
    expect(() => readAll(framer, [Buffer.alloc(5)])).toThrow(/measured otherwise/);
  }
});
