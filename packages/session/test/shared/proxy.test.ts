// Shared sessions whose clients come through proxies: the rules of pinned sessions (proxy.test.ts). The threads of the shared port read
// the PROXY headers, each a part of one.

import { once } from 'node:events';
import type { IocpCoreOptions } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import type { SharedListenerOptions } from '@overlapped/session';
import { describe, expect, test } from 'vitest';
import { withClock } from '../clock.js';
import { pattern, read } from '../support.js';
import { Client, connect, until } from '../threads.js';
import { ENDS } from './modules/notes.js';
import { Notes } from './script.js';
import { available, halfFrames, kernel, serveShared } from './support.js';

const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
/** 2001:db8::7, port 4711, and 5 bytes of a TLV. */
const BINARY = Buffer.from(
  `0d0a0d0a000d0a515549540a21210029${'20010db8000000000000000000000007'}${'0'.repeat(32)}126701bb${'0400020000'}`,
  'hex',
);
const header = (address: string, port = 1000) => Buffer.from(`PROXY TCP4 ${address} 10.0.0.1 ${port} 443\r\n`);

const trusted = ['127.0.0.1'];

describe.each<[string, IocpCoreOptions]>([
  ...(available ? [['on a shared port', { concurrency: 2, threads: 4 }] as [string, IocpCoreOptions]] : []),
  ['on the thread of the core', { backend: 'portable' }],
])('shared sessions behind a proxy, %s', (_, options) => {
  /** Connects, sends, and gives the first `length` bytes of the answer; undefined when it is reset. */
  async function ask(port: number, length: number, ...pieces: (string | Buffer)[]) {
    const client = new Client(port);
    for (const piece of pieces) client.socket.write(piece);
    const text = await read(client.socket, length).then(String, () => undefined);
    return { client, text };
  }

  const serve = (more: Partial<SharedListenerOptions> = {}, module = 'client') =>
    serveShared(module, options, { proxy: { trusted }, ...more });

  test("a session has the client's address and its bytes, those with the header and those after it", async () => {
    const notes = new Notes();
    const { port } = await serve();
    const together = await ask(port, 20, Buffer.concat([header('192.0.2.7', 4711), Buffer.from('hello')]));
    expect(together.text).toBe('192.0.2.7 4711\nhello');
    together.client.socket.write('again');
    expect(String(await read(together.client.socket, 5))).toBe('again');
    const later = await ask(port, 15, header('192.0.2.8', 4711));
    expect(later.text).toBe('192.0.2.8 4711\n');
    later.client.socket.write('hello');
    expect(String(await read(later.client.socket, 5))).toBe('hello');
    const binary = await ask(port, 22, BINARY, 'hello');
    expect(binary.text).toBe('2001:db8::7 4711\nhello');
    for (const { client } of [together, later, binary]) client.socket.resume().end();
    await until(() => notes.log.length === 3);
    expect(notes.log).toEqual([ENDS.none, ENDS.none, ENDS.none]);
  });

  test.each([
    ['text', header('192.0.2.7', 4711), '192.0.2.7 4711\nhello'],
    ['binary', BINARY, '2001:db8::7 4711\nhello'],
  ])('a %s header that comes byte by byte is read', async (_, bytes, answer) => {
    new Notes();
    const { port } = await serve();
    const [client] = await connect(port, 1);
    client!.socket.setNoDelay();
    for (const byte of bytes) {
      client!.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    client!.socket.write('hello');
    expect(String(await read(client!.socket, answer.length))).toBe(answer);
  });

  test('a client that sends much at once loses nothing, and its bytes stay in order', async () => {
    new Notes();
    const { port } = await serve();
    const bytes = pattern(3_000_000);
    const client = new Client(port);
    client.socket.write(Buffer.concat([header('192.0.2.7'), bytes]));
    expect((await read(client.socket, 15 + bytes.length)).subarray(15).equals(bytes)).toBe(true);
    client.socket.destroy();
  });

  test('frames that come with the header are cut', async () => {
    new Notes();
    const { port } = await serve({}, 'packets-fixed');
    const start = Buffer.concat([header('192.0.2.7'), Buffer.from('abcdefghijklmnopq')]);
    const { text } = await ask(port, 21, start, 'rstu');
    expect(text).toBe('abcdefghijklmnopqrstu');
  });

  test('a client that has ended already is answered, and the session ends in order', async () => {
    const notes = new Notes();
    const { port } = await serve();
    const client = new Client(port);
    client.socket.end(Buffer.concat([header('192.0.2.7'), Buffer.from('bye')]));
    expect(String(await read(client.socket, 18))).toBe('192.0.2.7 1000\nbye');
    client.socket.resume();
    await client.closed;
    await notes.noted(ENDS.none);
  });

  test('a proxy that connects for itself has its own address, and no limit', async () => {
    new Notes();
    const { port } = await serve({ maxSessionsPerAddress: 1, allow: ['192.0.2.7'] });
    for (let i = 0; i < 3; i++) expect((await ask(port, 10, LOCAL)).text).toContain('127.0.0.1 ');
    expect((await ask(port, 10, 'PROXY UNKNOWN\r\n')).text).toContain('127.0.0.1 ');
  });

  test("limits and lists are for the client's address", async () => {
    const notes = new Notes();
    const { core, port, listener } = await serve({ maxSessionsPerAddress: 1, deny: ['192.0.2.9', '127.0.0.1'] });
    const first = await ask(port, 15, header('192.0.2.7'));
    expect(first.text).toBe('192.0.2.7 1000\n');
    expect((await ask(port, 1, header('192.0.2.7'))).text).toBeUndefined();
    expect((await ask(port, 15, header('192.0.2.8'))).text).toBe('192.0.2.8 1000\n');
    expect((await ask(port, 1, header('192.0.2.9'))).text).toBeUndefined();
    // The same client, by another name.
    expect((await ask(port, 1, 'PROXY TCP6 ::ffff:192.0.2.7 ::1 1000 443\r\n')).text).toBeUndefined();
    // They had been accepted from the proxy. No session opened, so none was told its end.
    expect(listener.stats).toMatchObject({ accepted: 5, refused: 0 });
    expect(core.stats().total).toMatchObject({ refused: 3, refusedDenied: 1, refusedAddress: 2, refusedProxy: 0 });
    expect(notes.log).toEqual([]);
    first.client.socket.resume().end();
    await first.client.closed;
    await until(() => notes.log.length === 1);
    let again: string | undefined;
    // The record is given back a moment after the last handler.
    do again = (await ask(port, 15, header('192.0.2.7'))).text;
    while (again === undefined);
    expect(again).toBe('192.0.2.7 1000\n');
    expect((await ask(port, 1, header('192.0.2.7'))).text).toBeUndefined();
  });

  test('a connection that is not trusted is reset, with a header or without', async () => {
    const notes = new Notes();
    const { core, port, listener } = await serve({ proxy: { trusted: ['192.0.2.1'] } });
    expect((await ask(port, 1, header('192.0.2.7'))).text).toBeUndefined();
    expect((await ask(port, 1, 'hello')).text).toBeUndefined();
    expect(listener.stats).toMatchObject({ accepted: 0, refused: 2 });
    expect(core.stats().total).toMatchObject({ accepted: 0, refused: 2, refusedProxy: 2 });
    expect(notes.log).toEqual([]);
  });

  test('a connection is reset that begins with something else, or ends before its header does', async () => {
    const notes = new Notes();
    const { port, listener, core } = await serve();
    expect((await ask(port, 1, 'GET / HTTP/1.1\r\n')).text).toBeUndefined();
    const client = new Client(port);
    client.socket.end(header('192.0.2.7').subarray(0, 20));
    client.socket.resume();
    await client.closed;
    await until(() => listener.stats.accepted === 2);
    await listener.stop();
    expect(core.stats().total).toMatchObject({ refused: 2, refusedProxy: 2, ended: 2 });
    expect(notes.log).toEqual([]);
    await core.stop();
  });

  test('a listener that stops resets connections without a header at once', async () => {
    const notes = new Notes();
    const { core, port, listener } = await serve();
    const [client] = await connect(port, 1);
    client!.socket.write('PROXY TCP4');
    await until(() => listener.stats.accepted === 1);
    client!.socket.resume();
    const stopped = listener.stop(60_000);
    await client!.closed;
    await stopped;
    expect(core.stats().total).toMatchObject({ refused: 1, refusedProxy: 1 });
    expect(notes.log).toEqual([]);
  });

  test('a broadcast does not reach a connection without a header', async () => {
    new Notes();
    const { port, listener } = await serve({}, 'room');
    const [silent, client] = await connect(port, 2);
    silent!.socket.write('PROXY TCP4 192.0.2.6 10.0.0.1 10');
    await until(() => listener.stats.accepted === 2);
    client!.socket.write(header('192.0.2.7'));
    client!.socket.write('many hello 1');
    expect(String(await read(client!.socket, 10))).toBe('hello00000');
    silent!.socket.write('00 443\r\n');
    silent!.socket.write('many again 1');
    expect(String(await read(silent!.socket, 10))).toBe('again00000');
  });
});

describe.each([
  ...(kernel ? [['on a shared port', kernel] as const] : []),
  ['on the thread of the core', 'portable'] as const,
])('the time for a PROXY header, %s', (_, backend) => {
  /** Serves with a time that the test lets pass. */
  const serve = (
    more: Partial<SharedListenerOptions>,
    act: (scene: { core: Core; port: number; notes: Notes; pass(milliseconds: number): void }) => Promise<void>,
  ) =>
    withClock(backend, async (core, { pass }) => {
      const notes = new Notes();
      const { port, listener } = await serveShared('client', {}, { proxy: { trusted, timeout: 6000 }, ...more }, core);
      await act({ core, port, notes, pass });
      await listener.stop(0);
    });

  test('a header that does not come in time closes the connection; one that has come stops the clock', () =>
    serve({}, async ({ core, port, pass, notes }) => {
      const [silent, slow, good] = await connect(port, 3);
      good!.socket.write(header('192.0.2.7'));
      slow!.socket.write('PROXY TCP4 ');
      await read(good!.socket, 15);
      let closed = 0;
      for (const { socket } of [silent!, slow!]) socket.resume().once('close', () => closed++);
      pass(5000);
      expect(closed).toBe(0);
      await until(() => {
        pass(1);
        return closed === 2;
      });
      pass(60_000);
      good!.socket.write('still here');
      expect(String(await read(good!.socket, 10))).toBe('still here');
      expect(notes.log).toEqual([]);
      expect(core.stats().total).toMatchObject({ refused: 2, refusedProxy: 2 });
      good!.socket.destroy();
    }));

  test('the time for the first byte begins with the header', () =>
    serve({ timeouts: { firstByte: 1000 } }, async ({ port, pass, notes }) => {
      const [client] = await connect(port, 1);
      client!.socket.write('PROXY TCP4 ');
      pass(5000);
      client!.socket.write('192.0.2.7 10.0.0.1 1000 443\r\n');
      expect(String(await read(client!.socket, 15))).toBe('192.0.2.7 1000\n');
      pass(900);
      expect(notes.log).toEqual([]);
      await until(() => {
        pass(1);
        return notes.log.includes(ENDS.ETIMEDOUT);
      });
      client!.socket.destroy();
    }));
});

// Elsewhere there is no shared port for sockets.
test.runIf(available)('two threads read the parts of one header', async () => {
  const notes = new Notes();
  const { core, port: others } = await serveShared('script', { concurrency: 2, threads: 2 });
  const { port } = await serveShared('client', {}, { proxy: { trusted } }, core);
  const [first, second] = await connect(others, 2);
  const [client] = await connect(port, 1);
  first!.socket.write('block 1');
  await notes.noted(1);
  const bytes = header('192.0.2.7', 4711);
  client!.socket.write(bytes.subarray(0, 20));
  // The other thread has taken it. It is blocked now, and the first one goes on.
  await until(() => halfFrames(core) === 20);
  second!.socket.write('block 2');
  await notes.noted(2);
  notes.set(1);
  expect(String((await once(first!.socket, 'data'))[0])).toBe('blocked');
  client!.socket.write(Buffer.concat([bytes.subarray(20), Buffer.from('hello')]));
  expect(String(await read(client!.socket, 20))).toBe('192.0.2.7 4711\nhello');
  notes.set(2);
});

// Elsewhere there is no shared port for sockets.
test.runIf(available)('the part of a header outlives the thread that has read it', async () => {
  const notes = new Notes();
  const { core, port: others } = await serveShared('script', { concurrency: 1, threads: 1 });
  // The next thread may take longer to start than a header may.
  const { port } = await serveShared('client', {}, { proxy: { trusted, timeout: 60_000 } }, core);
  const [script] = await connect(others, 1);
  const [client] = await connect(port, 1);
  client!.socket.write('PROXY TCP4 192.0.2.7');
  await until(() => halfFrames(core) === 20);
  script!.socket.write('exit');
  await notes.noted(ENDS.ECHILD);
  // Another thread reads the rest.
  client!.socket.write(' 10.0.0.1 1000 443\r\n');
  expect(String(await read(client!.socket, 15))).toBe('192.0.2.7 1000\n');
  expect(halfFrames(core)).toBe(0);
});
