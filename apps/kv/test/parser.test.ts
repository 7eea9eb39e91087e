// The parser against a model encoder, at every split point; its errors for broken input; and that nothing makes it throw,
// hang, or take more memory than it was sent.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Limits, RequestParser } from '../src/resp/parser.js';
import { encode } from './support.js';

const LIMITS: Limits = { arguments: 8, bulk: 4096, request: 8192 };

/** The requests of a stream in these pieces, and the error if there is one. */
function parse(pieces: readonly Uint8Array[], limits?: Limits) {
  const parser = new RequestParser(limits);
  const requests: string[][] = [];
  for (const piece of pieces) {
    // Borrowed: gone when the parser has been asked for all.
    const borrowed = Buffer.from(piece);
    parser.push(borrowed);
    while (parser.next()) requests.push(argumentsOf(parser));
    borrowed.fill(0xee);
  }
  return { requests, error: parser.error };
}

function argumentsOf({ request }: RequestParser): string[] {
  return Array.from({ length: request.count }, (_, i) => request.text(i));
}

function split(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...[...places].map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end));
}

const argument = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc.uint8Array({ minLength: 100, maxLength: 300 }),
  fc.constantFrom('\r\n', '$3\r\nfoo\r\n', '*1\r\n', '').map((text) => Buffer.from(text)),
);
const requests = fc.array(fc.array(argument, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 });

function encodeAll(all: readonly (readonly Uint8Array[])[]): Buffer {
  return Buffer.concat(all.map((args) => encode(args.map((arg) => Buffer.from(arg)))));
}

function texts(all: readonly (readonly Uint8Array[])[]): string[][] {
  return all.map((args) => args.map((arg) => Buffer.from(arg).toString('latin1')));
}

describe('requests', () => {
  test('come out as they went in, split anywhere', () => {
    fc.assert(
      fc.property(requests, fc.array(fc.nat(), { maxLength: 12 }), (all, places) => {
        expect(parse(split(encodeAll(all), places))).toEqual({ requests: texts(all), error: null });
      }),
      { numRuns: 1000 },
    );
  });

  test('come out the same when split in two at each place, and when they come byte by byte', () => {
    const all = [['SET', 'key', 'a\r\n\0value'], ['GET', 'key'], ['PING'], ['SET', '', 'x'.repeat(500)], ['GET', 'a']];
    const bytes = Buffer.concat([...all.map(encode), Buffer.from('GET "a b"\r\n*0\r\n*-1\r\n\r\nping\n')]);
    const expected = { requests: [...all, ['GET', 'a b'], ['ping']], error: null };
    for (let at = 0; at <= bytes.length; at++) expect(parse(split(bytes, [at]))).toEqual(expected);
    expect(parse(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(expected);
  });

  test('that are not split are read where they lie; of those that are, only the first', () => {
    const parser = new RequestParser();
    const one = encode(['SET', 'key', 'value']);
    const piece = Buffer.concat([one, one, one.subarray(0, 20)]);
    parser.push(piece);
    for (let i = 0; i < 2; i++) {
      expect(parser.next()).toBe(true);
      expect(parser.request.bytes).toBe(piece);
    }
    expect(parser.next()).toBe(false);
    const rest = Buffer.concat([one.subarray(20), one]);
    parser.push(rest);
    expect(parser.next()).toBe(true);
    expect(parser.request.bytes).not.toBe(rest);
    expect(argumentsOf(parser)).toEqual(['SET', 'key', 'value']);
    expect(parser.next()).toBe(true);
    expect(parser.request.bytes).toBe(rest);
    expect(argumentsOf(parser)).toEqual(['SET', 'key', 'value']);
  });

  test('that were not asked for yet are kept', () => {
    fc.assert(
      fc.property(requests, fc.nat(), fc.nat(), (all, place, stop) => {
        const parser = new RequestParser();
        const read: string[][] = [];
        for (const piece of split(encodeAll(all), [place])) {
          const borrowed = Buffer.from(piece);
          parser.push(borrowed);
          for (let i = 0; i < stop % 5 && parser.next(); i++) read.push(argumentsOf(parser));
          parser.keep();
          borrowed.fill(0xee);
        }
        while (parser.next()) read.push(argumentsOf(parser));
        expect(read).toEqual(texts(all));
      }),
    );
  });
});

describe('lines of words', () => {
  test.each([
    ['  set  key value  ', ['set', 'key', 'value']],
    ['set "a b" \'c d\'', ['set', 'a b', 'c d']],
    ['set "\\x41\\n\\r\\t\\b\\a\\q\\"" \'\\\'\\n\'', ['set', 'A\n\r\t\b\x07q"', "'\\n"]],
    ['echo pre"fix"', ['echo', 'prefix']],
    ['echo "" \'\'', ['echo', '', '']],
    ['echo a\0b', ['echo', 'a']],
  ])('%j', (line, words) => {
    expect(parse([Buffer.from(`${line}\r\n`, 'latin1')])).toEqual({ requests: [words], error: null });
  });
});

describe('errors', () => {
  test.each([
    ['*x\r\n', 'invalid multibulk length'],
    ['*\r\n', 'invalid multibulk length'],
    ['*01\r\n', 'invalid multibulk length'],
    ['*9\r\n', 'invalid multibulk length'],
    ['*99999999999999999999999\r\n', 'invalid multibulk length'],
    ['*1\r\n+1\r\n', "expected '$', got '+'"],
    ['*1\r\n\r\n', "expected '$', got '\r'"],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$\r\n', 'invalid bulk length'],
    ['*1\r\n$4097\r\n', 'invalid bulk length'],
    ['*1\r\n$ 1\r\n', 'invalid bulk length'],
    [`*${'1'.repeat(70_000)}`, 'too big mbulk count string'],
    [`*1\r\n$${'1'.repeat(70_000)}`, 'too big bulk count string'],
    ['x'.repeat(70_000), 'too big inline request'],
    ['get "a\r\n', 'unbalanced quotes in request'],
    ["get 'a\r\n", 'unbalanced quotes in request'],
    ['get "a"b\r\n', 'unbalanced quotes in request'],
  ])('%.40j: %s', (text, reason) => {
    const limits = { ...LIMITS, request: 100_000 };
    const bytes = Buffer.from(text, 'latin1');
    const expected = { requests: [['PING']], error: `Protocol error: ${reason}` };
    const ping = encode(['PING']);
    expect(parse([Buffer.concat([ping, bytes])], limits)).toEqual(expected);
    expect(parse([ping, bytes.subarray(0, -1), bytes.subarray(-1), ping], limits)).toEqual(expected);
  });

  test('a request that is too large to be put together ends it without words', () => {
    const request = encode(['SET', 'a'.repeat(4000), 'b'.repeat(4000), 'c'.repeat(4000)]);
    expect(parse(split(request, [4100, 8100, 12000]), LIMITS)).toEqual({ requests: [], error: '' });
  });
});

describe('whatever comes', () => {
  /** Parses in pieces, and sees that it ends. Broken input must give the same results as in one piece. */
  function expectToHold(bytes: Buffer, places: readonly number[]): void {
    const limits = { arguments: 1000, bulk: 1 << 20, request: 1 << 20 };
    expect(parse(split(bytes, places), limits)).toEqual(parse([bytes], limits));
  }

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(), { maxLength: 5 }), (bytes, places) =>
        expectToHold(Buffer.from(bytes), places),
      ),
      { numRuns: 1000 },
    );
  });

  test('random symbols of the protocol', () => {
    const symbol = fc.constantFrom('*', '$', '\r', '\n', '\r\n', '-', '0', '1', '2', '9', 'a', ' ', '"', "'", '\0');
    fc.assert(
      fc.property(fc.array(symbol, { maxLength: 60 }), fc.array(fc.nat(), { maxLength: 5 }), (symbols, places) =>
        expectToHold(Buffer.from(symbols.join('')), places),
      ),
      { numRuns: 3000 },
    );
  });

  test('valid input with some bytes changed, added or gone', () => {
    const change = fc.record({ at: fc.nat(), remove: fc.nat(2), insert: fc.uint8Array({ maxLength: 2 }) });
    fc.assert(
      fc.property(
        requests,
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        (all, changes, places) => {
          let bytes = encodeAll(all);
          for (const { at, remove, insert } of changes) {
            const place = at % (bytes.length + 1);
            bytes = Buffer.concat([bytes.subarray(0, place), insert, bytes.subarray(place + remove)]);
          }
          expectToHold(bytes, places);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('memory follows what has come, not what a header announces', () => {
    const before = process.memoryUsage().arrayBuffers;
    const parsers = Array.from({ length: 200 }, () => new RequestParser());
    for (const parser of parsers) {
      parser.push(Buffer.from('*1000000\r\n$500000000\r\n'));
      expect(parser.next()).toBe(false);
      parser.push(Buffer.from('x'.repeat(1000)));
      expect(parser.next()).toBe(false);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(parsers.length * 10_000);
  });
});
