// Handshakes and records of TLS that are cut or broken, at every byte: a server frees what it had, and serves others.

import net from 'node:net';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Listener, Session } from '../src/index.js';
import { live } from '../src/tls/context.js';
import { makeCertificates } from './certificates.js';
import { deferred, onEachBackend, withCore } from './support.js';
import { HOST } from './tls-sides.js';

const { ca, a } = await makeCertificates();
/** Milliseconds that a server waits for the rest of a record whose length was broken. */
const PATIENCE = 1000;
/** Connections at a time. */
const LANES = 20;
/** Growth of the process that a thousand connections may cause, in bytes: a leak of one SSL for each is 40 MB or more. */
const MOST_GROWTH = 30 << 20;
/** Rounds of these at the most, until one grows less. */
const ROUNDS = 4;

class Echo extends Session {
  override onReceive(data: Buffer) {
    this.send(data);
  }
}

onEachBackend((backend) => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'a client is cut, or broken, at every byte of its handshake: %s',
    // Thousands of handshakes.
    { timeout: 600_000 },
    (version) =>
      withCore({ backend, threads: 0 }, async (core) => {
        const before = live.engines;
        const listener = await Listener.listen(core, {
          host: HOST,
          port: 0,
          tls: { ...a, handshakeTimeout: PATIENCE },
          session: Echo,
        });
        const { port } = listener.endpoint;
        const length = await play(port, version, (sent) => sent);
        expect(length).toBeGreaterThan(200);
        const round = async () => {
          let at = 0;
          const lane = async () => {
            while (at < length) {
              const where = at++;
              await play(port, version, (sent, from) =>
                from + sent.length > where ? sent.subarray(0, where - from) : sent,
              );
              await play(port, version, (sent, from) => broken(sent, where - from));
            }
          };
          await Promise.all(Array.from({ length: LANES }, lane));
        };
        await round();
        // A leak grows in each round, the heap of a process in some of them.
        let growth = Number.POSITIVE_INFINITY;
        for (let again = 0; again < ROUNDS && growth >= MOST_GROWTH; again++) {
          const used = process.memoryUsage.rss();
          await round();
          growth = process.memoryUsage.rss() - used;
        }
        expect(growth).toBeLessThan(MOST_GROWTH);
        await seeServed(port);
        await listener.stop();
        expect(live.engines).toBe(before);
      }),
  );

  test('records of any type, version and length, before and after the handshake', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const before = live.engines;
      const listener = await Listener.listen(core, { host: HOST, port: 0, tls: a, session: Echo });
      const { port } = listener.endpoint;
      const record = fc
        .tuple(
          fc.integer({ min: 18, max: 26 }),
          fc.integer({ min: 0, max: 5 }),
          fc.nat(70_000),
          fc.uint8Array({ maxLength: 300 }),
        )
        .map(([type, minor, length, body]) => {
          // Every third has the length that it says.
          const said = length % 3 === 0 ? body.length : length & 0xffff;
          return Buffer.from([type, 3, minor, said >> 8, said & 0xff, ...body]);
        });
      const stream = fc.array(record, { minLength: 1, maxLength: 5 }).map((records) => Buffer.concat(records));
      await fc.assert(
        fc.asyncProperty(stream, fc.boolean(), async (bytes, secured) => {
          if (secured) await play(port, 'TLSv1.3', (sent) => sent, bytes);
          else
            await closing(
              net.connect(port, HOST).on('error', () => {}),
              bytes,
            );
        }),
        { numRuns: 300 },
      );
      await seeServed(port);
      await listener.stop();
      expect(live.engines).toBe(before);
    }));
});

/** The bytes with one of them changed. */
function broken(sent: Buffer, at: number): Buffer {
  if (at < 0 || at >= sent.length) return sent;
  const copy = Buffer.from(sent);
  copy[at]! ^= 0xff;
  return copy;
}

/**
 * A client that shakes hands and ends; what it sends passes `change` first, with the number of bytes that went before. Bytes that
 * were cut off end the connection. Gives the number of bytes of its handshake. `rest` is sent after it.
 */
async function play(
  port: number,
  version: tls.SecureVersion,
  change: (sent: Buffer, from: number) => Buffer,
  rest?: Buffer,
): Promise<number> {
  const raw = net.connect(port, HOST).on('error', () => {});
  const over = closing(raw);
  let count = 0;
  const pipe = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const sent = change(chunk, count);
      if (sent.length > 0) raw.write(sent);
      if (sent.length < chunk.length) raw.end();
      count += chunk.length;
      done();
    },
  });
  raw.on('data', (data) => pipe.push(data)).on('close', () => pipe.push(null));
  const socket = tls.connect({
    socket: pipe as net.Socket,
    ca,
    servername: 'a.test',
    minVersion: version,
    maxVersion: version,
  });
  const shaken = deferred<void>();
  socket.on('secureConnect', shaken.resolve).on('error', () => raw.end());
  await Promise.race([shaken.promise, over]);
  const length = count;
  if (rest) raw.write(rest);
  raw.end();
  await over;
  socket.destroy();
  return length;
}

async function closing(raw: net.Socket, bytes?: Buffer): Promise<void> {
  const closed = new Promise<void>((resolve) => raw.once('close', () => resolve()));
  if (bytes) raw.resume().end(bytes);
  await closed;
}

async function seeServed(port: number): Promise<void> {
  const socket = tls.connect({ port, host: HOST, ca, servername: 'a.test' });
  socket.end('hello');
  expect(await text(socket)).toBe('hello');
}
