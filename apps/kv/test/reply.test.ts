// Replies, against their encoding one by one, and how they are gathered.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CHUNK, type Output, ReplyWriter } from '../src/resp/reply.js';

/** Keeps the sent bytes, as a transport would: a copy of those that may be overwritten. */
class Sink implements Output {
  readonly sent: Buffer[] = [];

  send(bytes: Buffer): boolean {
    this.sent.push(bytes.length > CHUNK ? bytes : Buffer.from(bytes));
    return true;
  }

  get text(): string {
    return Buffer.concat(this.sent).toString('latin1');
  }
}

test('replies come out in order, in sends as large as can be', () => {
  const text = fc.oneof(
    fc.string(),
    fc.integer({ min: 0, max: 40_000 }).map((length) => 'x'.repeat(length)),
  );
  const integer = fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
  const reply = fc.oneof(
    integer.map((value) => [`:${value}\r\n`, (writer: ReplyWriter) => writer.integer(value)] as const),
    text.map((value) => {
      const bytes = Buffer.from(value).toString('latin1');
      return [`$${bytes.length}\r\n${bytes}\r\n`, (writer: ReplyWriter) => writer.bulk(bytes)] as const;
    }),
    fc.nat().map((count) => [`*${count}\r\n`, (writer: ReplyWriter) => writer.array(count)] as const),
    fc.constant(['-ERR a  b\r\n', (writer: ReplyWriter) => writer.error('ERR a\r\nb')] as const),
    fc.constant(['$-1\r\n', (writer: ReplyWriter) => writer.null()] as const),
  );
  const writer = new ReplyWriter();
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 20 }), (replies) => {
      const sink = new Sink();
      writer.begin(sink, 2);
      for (const [, write] of replies) write(writer);
      writer.flush();
      const expected = replies.map(([bytes]) => bytes).join('');
      expect(sink.text).toBe(expected);
      if (replies.every(([bytes]) => bytes.length <= 2048) && expected.length <= CHUNK) {
        expect(sink.sent.length).toBe(expected === '' ? 0 : 1);
      }
    }),
    { numRuns: 500 },
  );
});

test('what a batch that failed has left is not sent to the next client', () => {
  const writer = new ReplyWriter();
  writer.begin(new Sink(), 2);
  writer.ok();
  const next = new Sink();
  writer.begin(next, 2);
  writer.flush();
  expect(next.text).toBe('');
});
