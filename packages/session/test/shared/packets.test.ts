// Shared sessions of frames with real sockets: frames come whole and in order, whichever threads take their parts.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { IocpCoreOptions } from '@overlapped/net-core';
import { describe, expect, test } from 'vitest';
import { FrameReader } from '../../src/framing/frame-reader.js';
import { delimited, encodeFrame, type Framer, fixedLength, lengthPrefixed, lines } from '../../src/index.js';
import { type Client, connect, until } from '../threads.js';
import { ENDS } from './modules/notes.js';
import { Notes } from './script.js';
import { available, serveShared } from './support.js';

/** The framers of modules/packets.js and of those beside it, and bodies for them. */
const KINDS: Record<string, { framer: Framer; bodies: string[] }> = {
  prefix: { framer: lengthPrefixed({ size: 2 }), bodies: ['hello', '', 'x'.repeat(20), 'end'] },
  varint: { framer: lengthPrefixed({ size: 'varint' }), bodies: ['', 'hello', 'y'.repeat(130)] },
  delimiter: { framer: delimited('<>'), bodies: ['a<b', '', '<', 'hello>'] },
  line: { framer: lines(), bodies: ['hello', '', 'a line'] },
  fixed: { framer: fixedLength(7), bodies: ['abcdefg', '1234567'] },
};
const prefix = KINDS.prefix!.framer;

const write = (client: Client, bytes: string | Uint8Array) =>
  new Promise<void>((resolve) => client.socket.write(bytes, () => resolve()));

/** Whether the kernel has bytes for a session of a port, or on their way to it. */
async function wait(port: number): Promise<boolean> {
  const end = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').filter((line) => line.includes(end));
  // A line has the bytes to send and to receive; those of the listening socket are its backlog.
  return lines.some((line) => !/ \w\w 00000000:00000000 /.test(line));
}

/** Reads so many frames. */
async function readFrames({ socket }: Client, framer: Framer, count: number): Promise<string[]> {
  const reader = new FrameReader(framer);
  const frames: string[] = [];
  return new Promise((resolve, reject) => {
    const take = (piece: Buffer) => {
      reader.add(piece);
      for (let frame = reader.next(); frame !== null; frame = reader.next()) frames.push(String(frame));
      if (frames.length < count) return;
      socket.off('data', take);
      resolve(frames);
    };
    socket.on('data', take);
    socket.once('close', () => reject(new Error(`the connection closed after ${frames.length} frames`)));
  });
}

describe.each<[string, IocpCoreOptions]>([
  ...(available ? [['on a shared port', { concurrency: 4, threads: 8 }] as [string, IocpCoreOptions]] : []),
  ['on the thread of the core', { backend: 'portable' }],
])('shared sessions of frames, %s', (_, options) => {
  test.each(Object.entries(KINDS))('%s: frames come whole, cut at every byte', async (name, { framer, bodies }) => {
    new Notes();
    const { port } = await serveShared(name === 'prefix' ? 'packets' : `packets-${name}`, options);
    const stream = Buffer.concat(bodies.map((body) => encodeFrame(framer, body)));
    // At every byte; of a longer stream, at those of its start and its end.
    const cuts = Array.from({ length: stream.length }, (_, i) => i).filter((i) => i < 20 || i > stream.length - 20);
    const clients = await connect(port, cuts.length);
    const answers = clients.map((client) => readFrames(client, framer, bodies.length));
    await Promise.all(clients.map((client, i) => write(client, stream.subarray(0, cuts[i]))));
    // On other systems the second part may come with the first.
    if (process.platform === 'linux') await until(async () => !(await wait(port)));
    await Promise.all(clients.map((client, i) => write(client, stream.subarray(cuts[i]))));
    for (const answer of answers) expect(await answer).toEqual(bodies);
  });

  test('a frame that comes byte by byte', async () => {
    new Notes();
    const { port } = await serveShared('packets', options);
    const clients = await connect(port, 8);
    const bodies = Array.from({ length: 20 }, (_, i) => `frame ${i}`);
    const stream = Buffer.concat(bodies.map((body) => encodeFrame(prefix, body)));
    await Promise.all(
      clients.map(async (client) => {
        const answer = readFrames(client, prefix, bodies.length);
        for (let at = 0; at < stream.length; at++) await write(client, stream.subarray(at, at + 1));
        expect(await answer).toEqual(bodies);
      }),
    );
  });

  test('100,000 numbered frames over 50 connections come in order, one turn at a time', async () => {
    new Notes();
    const { port } = await serveShared('packets', options);
    await numbered(port, 2000);
  });

  test('the same with async handlers', async () => {
    new Notes();
    const { port } = await serveShared('packets-slow', options);
    await numbered(port, 2000);
  });

  test.each([40_000, 59_998])('a frame of %i bytes goes there and back', async (length) => {
    new Notes();
    const { port } = await serveShared('packets', options);
    const clients = await connect(port, 5);
    const body = 'z'.repeat(length);
    const bytes = Buffer.concat([encodeFrame(prefix, body), encodeFrame(prefix, body)]);
    await Promise.all(
      clients.map(async (client) => {
        const answer = readFrames(client, prefix, 2);
        await write(client, bytes);
        expect(await answer).toEqual([body, body]);
      }),
    );
  });

  test('a frame that is too long ends its session, and no other', async () => {
    const notes = new Notes();
    const { port } = await serveShared('packets', options);
    const [bad, good] = await connect(port, 2);
    await write(bad!, Buffer.from([0xff, 0xff]));
    await bad!.closed;
    await notes.noted(ENDS.EMSGSIZE);
    const answer = readFrames(good!, prefix, 1);
    await write(good!, encodeFrame(prefix, 'still there'));
    expect(await answer).toEqual(['still there']);
  });

  test('a line of which the end does not come within the limit ends its session', async () => {
    const notes = new Notes();
    const { port } = await serveShared('packets-line', options);
    const [client] = await connect(port, 1);
    await write(client!, 'x'.repeat(600));
    await write(client!, 'x'.repeat(600));
    await client!.closed;
    await notes.noted(ENDS.EMSGSIZE);
  });

  test('bytes that are no frame end the session', async () => {
    const notes = new Notes();
    const { port } = await serveShared('packets-varint', options);
    const [client] = await connect(port, 1);
    await write(client!, Buffer.alloc(9, 0x80));
    await client!.closed;
    await notes.noted(ENDS.EPROTO);
  });

  test("the peer's end in the middle of a frame is an error, after the answers", async () => {
    const notes = new Notes();
    const { port } = await serveShared('packets', options);
    const [client] = await connect(port, 1);
    const answer = readFrames(client!, prefix, 1);
    client!.socket.end(Buffer.concat([encodeFrame(prefix, 'whole'), Buffer.from([0, 5, 1])]));
    expect(await answer).toEqual(['whole']);
    await client!.closed;
    await notes.noted(ENDS.EPROTO);
  });

  test("the peer's end behind a frame is in order", async () => {
    const notes = new Notes();
    const { port } = await serveShared('packets-slow', options);
    const [client] = await connect(port, 1);
    const answer = readFrames(client!, prefix, 3);
    client!.socket.end(Buffer.concat(['a', 'b', 'c'].map((body) => encodeFrame(prefix, body))));
    expect(await answer).toEqual(['a', 'b', 'c']);
    await notes.noted(ENDS.none);
  });
});

// Elsewhere there is no shared port for sockets.
describe.runIf(available)('shared sessions of frames on a shared port', () => {
  test('parts of one frame are taken by several threads', async () => {
    new Notes();
    const { port } = await serveShared('packets', { concurrency: 4, threads: 8 });
    const clients = await connect(port, 16);
    const threads = new Set<string>();
    const who = encodeFrame(prefix, 'who');
    // Which thread takes a part is up to the kernel.
    while (threads.size < 2) {
      await Promise.all(
        clients.map(async (client) => {
          const answer = readFrames(client, prefix, 1);
          for (const byte of who) await write(client, Buffer.of(byte));
          for (const thread of await answer) threads.add(thread);
        }),
      );
    }
  });

  test('a frame goes in one piece, whichever threads send to its session', async () => {
    new Notes();
    const { core, port } = await serveShared('packets', { concurrency: 2, threads: 4 });
    const [client] = await connect(port, 1);
    const asked = readFrames(client!, prefix, 1);
    await write(client!, encodeFrame(prefix, 'id'));
    const id = Number((await asked)[0]);
    const each = 20_000;
    const other = encodeFrame(prefix, 'from the core');
    const reader = new FrameReader(prefix);
    const counts = new Map<string, number>();
    client!.socket.on('data', (piece: Buffer) => {
      reader.add(piece);
      for (let frame = reader.next(); frame !== null; frame = reader.next()) {
        counts.set(String(frame), (counts.get(String(frame)) ?? 0) + 1);
      }
    });
    client!.socket.write(Buffer.concat(Array.from({ length: each }, () => encodeFrame(prefix, 'answer'))));
    // The core's thread sends as long as the others do.
    await until(() => {
      for (let i = 0; i < 100; i++) core.send(id, other);
      return counts.get('answer') === each;
    });
    expect([...counts.keys()].sort()).toEqual(['answer', 'from the core']);
  });

  test('a thread that ends with half frames about loses those of its own session alone', async () => {
    const notes = new Notes();
    const { port } = await serveShared('packets', { concurrency: 1, threads: 2 });
    const clients = await connect(port, 12);
    const half = encodeFrame(prefix, 'both halves');
    for (let round = 0; round < 3; round++) {
      const [bad, ...others] = clients.slice(round);
      for (const client of others) await write(client, half.subarray(0, 5));
      await write(bad!, encodeFrame(prefix, 'exit'));
      await bad!.closed;
      await until(() => notes.log.filter((number) => number === ENDS.ECHILD).length === round + 1);
      const answers = others.map((client) => readFrames(client, prefix, 1));
      for (const client of others) await write(client, half.subarray(5));
      expect(await Promise.all(answers)).toEqual(others.map(() => ['both halves']));
    }
  });

  test('a module without a framer is refused', async () => {
    new Notes();
    await expect(serveShared('no-framer')).rejects.toThrow(/framer must be a Framer/);
  });

  test('threads that still load may be ended when a module is refused, again and again', async () => {
    new Notes();
    for (let round = 0; round < 10; round++) {
      await expect(serveShared('no-framer', { concurrency: 4, threads: 8 })).rejects.toThrow(/framer must be a Framer/);
    }
  });
});

/** Clients send numbers, in pieces that cut frames anywhere. */
async function numbered(port: number, each: number): Promise<void> {
  const clients = await connect(port, 50);
  const stream = Buffer.concat(Array.from({ length: each }, (_, i) => encodeFrame(prefix, `number ${i}`)));
  const ends = clients.map(async (client, seed) => {
    const pieces: Buffer[] = [];
    client.socket.on('data', (piece: Buffer) => pieces.push(piece));
    const end = once(client.socket, 'end');
    let size = 1 + seed;
    for (let at = 0; at < stream.length; at += size) {
      size = 1 + ((size * 31 + seed) % 1997);
      await write(client, stream.subarray(at, at + size));
    }
    await end;
    return String(Buffer.concat(pieces));
  });
  expect(new Set(await Promise.all(ends))).toEqual(new Set(['ok']));
}
