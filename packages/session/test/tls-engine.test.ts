// TlsEngine without sockets: two engines whose bytes are cut and glued in every way that a stream may be.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TlsContext } from '../src/tls/context.js';
import { TlsEngine } from '../src/tls/engine.js';
import { RecordCounter } from '../src/tls/record-counter.js';
import { makeCertificates } from './certificates.js';

let server: TlsContext;
let client: TlsContext;

beforeAll(async () => {
  const { a } = await makeCertificates();
  server = TlsContext.forServer(a);
  client = TlsContext.forClient({ rejectUnauthorized: false });
});

afterAll(() => {
  server.free();
  client.free();
});

function takeOutput(engine: TlsEngine): Buffer {
  const bytes = engine.output ?? Buffer.alloc(0);
  engine.output = null;
  return bytes;
}

/** The client's engine whose handshake is done, the server's that lacks the client's last flight, and that flight. */
function nearlySecured() {
  const sender = new TlsEngine(client);
  const receiver = new TlsEngine(server);
  expect(sender.handshake(null, [])).toBe(false);
  expect(receiver.handshake(takeOutput(sender), [])).toBe(false);
  expect(sender.handshake(takeOutput(receiver), [])).toBe(true);
  return { sender, receiver, flight: takeOutput(sender) };
}

function encrypted(engine: TlsEngine, bytes: Buffer): Buffer {
  engine.write(bytes, bytes.length);
  const to = Buffer.alloc(bytes.length + 100);
  return to.subarray(0, engine.drain(to));
}

function decrypted(engine: TlsEngine, data: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let bytes = engine.read(data); bytes !== null; bytes = engine.next()) pieces.push(Buffer.from(bytes));
  return Buffer.concat(pieces);
}

describe('engines share their BIOs', () => {
  test('a packet that looks like one record, but is the end of one and another, leaves nothing to other connections', () => {
    const other = nearlySecured();
    expect(other.receiver.handshake(other.flight, [])).toBe(true);
    const { sender, receiver, flight } = nearlySecured();
    const first = encrypted(sender, Buffer.alloc(16_000, 'a'));
    // Cut where the rest begins like a record with application data whose length can be had.
    let cut = 0;
    let length = 0;
    for (let at = 1; at < first.length - 5 && cut === 0; at++) {
      const missing = first.readUInt16BE(at + 3) + 5 - (first.length - at);
      if (first[at] === 23 && missing > 22 && missing <= 16_000) [cut, length] = [at, missing];
    }
    // A stream of 16,000 random bytes has about 15 such places.
    expect(cut).toBeGreaterThan(0);
    const second = encrypted(sender, Buffer.alloc(length - 22, 'b'));
    const packet = Buffer.concat([first.subarray(cut), second]);
    expect([packet.length, packet[0]]).toEqual([packet.readUInt16BE(3) + 5, 23]);
    expect(receiver.handshake(Buffer.concat([flight, first.subarray(0, cut)]), [])).toBe(true);
    expect(decrypted(receiver, packet).toString()).toBe('a'.repeat(16_000) + 'b'.repeat(length - 22));
    expect(decrypted(other.receiver, encrypted(other.sender, Buffer.from('of another'))).toString()).toBe('of another');
    for (const engine of [sender, receiver, other.sender, other.receiver]) engine.free();
  });

  test('a stream cut in every way, between the packets of another connection', () => {
    const { sender, receiver, flight } = nearlySecured();
    const other = nearlySecured();
    expect(receiver.handshake(flight, [])).toBe(true);
    expect(other.receiver.handshake(other.flight, [])).toBe(true);
    const texts = ['a', 'bc', 'd'.repeat(100)];
    for (let cut = 1; cut < 180; cut += 1) {
      const stream = Buffer.concat(texts.map((text) => encrypted(sender, Buffer.from(text))));
      let read = decrypted(receiver, stream.subarray(0, cut)).toString();
      expect(decrypted(other.receiver, encrypted(other.sender, Buffer.from('of another'))).toString()).toBe(
        'of another',
      );
      read += decrypted(receiver, stream.subarray(cut)).toString();
      expect([cut, read]).toEqual([cut, texts.join('')]);
    }
    for (const engine of [sender, receiver, other.sender, other.receiver]) engine.free();
  });
});

describe('records are counted', () => {
  const record = (type: number, length: number) => {
    const bytes = Buffer.alloc(5 + length, 0xee);
    bytes.writeUInt8(type, 0);
    bytes.writeUInt16BE(length, 3);
    return bytes;
  };

  test('in a stream that is cut into pieces of any length', () => {
    const stream = Buffer.concat([record(22, 300), record(23, 0), record(23, 7), record(20, 1), record(23, 258)]);
    const ends = [305, 310, 322, 328, 591];
    for (let size = 1; size <= stream.length; size++) {
      const records = new RecordCounter();
      let counted = 0;
      for (let at = 0; at < stream.length; at += size) {
        const end = Math.min(at + size, stream.length);
        records.count(stream.subarray(at, end));
        counted += records.whole;
        expect([size, end, counted, records.between]).toEqual([
          size,
          end,
          ends.filter((each) => each <= end).length,
          ends.includes(end),
        ]);
      }
    }
  });

  test('but not in one that begins with something else', () => {
    const records = new RecordCounter();
    for (const bytes of [record(128, 10), record(23, 10)]) {
      records.count(bytes);
      expect([records.whole, records.between]).toEqual([Number.POSITIVE_INFINITY, false]);
    }
  });
});
