// Which connections a listener of shared sessions accepts: the limits of pinned sessions, and counts over all threads.

import net from 'node:net';
import type { IocpCoreOptions } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Client, connect, until } from '../threads.js';
import { Notes } from './script.js';
import { available, serveShared } from './support.js';

/** A client with an address of its own. */
function from(localAddress: string, port: number): Client {
  const client = new Client(port);
  client.socket.destroy();
  const socket = net.connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  return Object.assign(client, { socket, closed: new Promise((resolve) => socket.once('close', resolve)) });
}

describe.each<[string, IocpCoreOptions]>([
  ...(available ? [['on a shared port', { concurrency: 2, threads: 4 }] as [string, IocpCoreOptions]] : []),
  ['on the thread of the core', { backend: 'portable' }],
])('limits of shared sessions, %s', (_, options) => {
  test.each([
    ['an address on the deny list', { deny: ['127.0.0.1'] }],
    ['one that is not on the allow list', { allow: ['10.0.0.0/8', '::1'] }],
    ['one on both lists', { allow: ['127.0.0.0/8'], deny: ['127.0.0.1'] }],
  ])('%s is refused', async (_, more) => {
    new Notes();
    const { core, port, listener } = await serveShared('script', options, more);
    await new Client(port).closed;
    expect(listener.stats).toMatchObject({ accepted: 0, refused: 1 });
    expect(core.stats().total).toMatchObject({ accepted: 0, refused: 1, refusedDenied: 1 });
  });

  test('an address on the allow list is accepted', async () => {
    new Notes();
    const { port, listener } = await serveShared('script', options, { allow: ['127.0.0.0/8'], deny: ['10.0.0.1'] });
    const [client] = await connect(port, 1);
    expect(await client!.ask('asked')).toBe('1');
    expect(listener.stats).toMatchObject({ accepted: 1, refused: 0 });
  });

  test('connections beyond the rate are refused', async () => {
    new Notes();
    const { core, port, listener } = await serveShared('script', options, { rate: { perSecond: 0.0001, burst: 3 } });
    const clients = await connect(port, 3);
    for (const client of clients) expect(await client.ask('asked')).toBe('1');
    for (let i = 0; i < 3; i++) await new Client(port).closed;
    expect(listener.stats).toMatchObject({ accepted: 3, refused: 3 });
    expect(core.stats().total).toMatchObject({ accepted: 3, refused: 3, refusedRate: 3 });
  });

  test('connections beyond the most sessions of the listener are refused', async () => {
    new Notes();
    const { core, port, listener } = await serveShared('script', options, { maxSessions: 2 });
    for (const client of await connect(port, 2)) expect(await client.ask('asked')).toBe('1');
    for (let i = 0; i < 2; i++) await new Client(port).closed;
    expect(listener.stats).toMatchObject({ accepted: 2, refused: 2 });
    expect(core.stats().total).toMatchObject({ accepted: 2, refused: 2, refusedFull: 2 });
  });

  test("connections beyond the core's quota are refused", async () => {
    new Notes();
    const { core, port, listener } = await serveShared('script', { ...options, maxSessions: 2 });
    for (const client of await connect(port, 2)) expect(await client.ask('asked')).toBe('1');
    for (let i = 0; i < 2; i++) await new Client(port).closed;
    expect(listener.stats).toMatchObject({ accepted: 2, refused: 2 });
    expect(core.stats().total).toMatchObject({ accepted: 2, refused: 2, refusedFull: 2 });
  });

  test("with whenFull: 'wait' a connection beyond the limit waits until a session is over", async () => {
    const notes = new Notes();
    const more = { maxSessions: 2, whenFull: 'wait' } as const;
    const { port, listener } = await serveShared('script', options, more);
    const [first, second] = await connect(port, 2);
    for (const client of [first!, second!]) expect(await client.ask('asked')).toBe('1');
    const others = await connect(port, 3);
    // On node:net all connections are accepted, and wait in the port. On Windows they may be served in another order.
    const served = others.map((client) => client.ask('asked').then(() => client));
    expect(listener.stats).toMatchObject({ accepted: 2, refused: 0 });
    for (const [i, client] of [first!, second!, Promise.race(served)].entries()) {
      const { socket, closed } = await client;
      socket.resume().end();
      await closed;
      await until(() => notes.log.length === i + 1 && listener.stats.accepted === 3 + i);
    }
    expect(listener.stats).toMatchObject({ accepted: 5, refused: 0 });
  });

  // Other systems have one address of the loopback interface.
  test.runIf(process.platform === 'linux')('an address has so many sessions, and others have theirs', async () => {
    const notes = new Notes();
    const { core, port, listener } = await serveShared('script', options, { maxSessionsPerAddress: 3 });
    const clients = await connect(port, 3);
    for (const client of clients) expect(await client.ask('asked')).toBe('1');
    await new Client(port).closed;
    const others = [from('127.0.0.2', port), from('127.0.0.2', port), from('127.0.0.3', port)];
    for (const client of others) expect(await client.ask('asked')).toBe('1');
    expect(listener.stats).toMatchObject({ accepted: 6, refused: 1 });
    expect(core.stats().total).toMatchObject({ accepted: 6, refused: 1, refusedAddress: 1 });
    // From the middle of a list, from its ends, and all of them.
    const order = [1, 0, 2];
    for (const [i, index] of order.entries()) {
      clients[index]!.socket.resume().end();
      await clients[index]!.closed;
      await until(() => notes.log.length === i + 1);
      // The record is given back a moment after the last handler. A client that is reset at once may not have seen that it was connected.
      let answer: string;
      do {
        const next = new Client(port);
        onTestFinished(() => void next.socket.destroy());
        answer = await next.ask('asked').catch(() => 'refused');
      } while (answer === 'refused');
      await new Client(port).closed;
    }
    expect(await from('127.0.0.2', port).ask('asked')).toBe('1');
  });

  test('what shared sessions do not have is refused by name', async () => {
    const { core } = await serveShared('echo', options);
    for (const more of [{ tls: {} }, { reusePort: true }, { session: {} }]) {
      const shared = new URL('./modules/echo.js', import.meta.url);
      await expect(Listener.listen(core, { port: 0, shared, ...more } as never)).rejects.toThrow(
        new RegExp(Object.keys(more)[0]!),
      );
    }
  });
});

// Elsewhere there is no shared port for sockets.
describe.runIf(available)('listeners on a shared port', () => {
  test('a core has more than 64 of them in its life, and each has its own module, state and figures', async () => {
    new Notes();
    const { core, port: first } = await serveShared('script', { concurrency: 2, threads: 2 });
    const [client] = await connect(first, 1);
    expect(await client!.ask('asked')).toBe('1');
    for (let round = 0; round < 70; round++) {
      const module = round % 2 === 0 ? 'echo' : 'script';
      const { port, listener } = await serveShared(module, {}, {}, core);
      const clients = await connect(port, 4);
      for (const each of clients) expect(await each.ask('asked')).toBe(module === 'echo' ? 'asked' : '1');
      for (const { socket } of clients) socket.resume().on('end', () => socket.end());
      await listener.stop();
      expect(listener.stats).toEqual({ accepted: 4, failed: 0, refused: 0 });
    }
    expect(await client!.ask('asked')).toBe('2');
  });

  test('the rate counts the connections that all threads accept', async () => {
    const notes = new Notes();
    const more = { rate: { perSecond: 0.0001, burst: 3 } };
    const { port, listener } = await serveShared('script', { concurrency: 1, threads: 4 }, more);
    // Each blocks its thread, so that another thread accepts the next.
    for (let i = 1; i <= 3; i++) {
      const [client] = await connect(port, 1);
      client!.socket.write(`block ${i}`);
      await notes.noted(i);
    }
    await new Client(port).closed;
    expect(listener.stats).toMatchObject({ accepted: 3, refused: 1 });
    for (let i = 1; i <= 3; i++) notes.set(i);
  });

  test('64 at a time are all, and a place that is free is taken again', async () => {
    new Notes();
    const { core } = await serveShared('echo', { concurrency: 1, threads: 1 });
    const others = [];
    for (let i = 1; i < 64; i++) others.push(await serveShared('echo', {}, {}, core));
    await expect(serveShared('echo', {}, {}, core)).rejects.toThrow(
      'Cannot listen: the core has 64 shared listeners already (ENOBUFS, listen)',
    );
    await others[30]!.listener.stop();
    const { port } = await serveShared('echo', {}, {}, core);
    const [client] = await connect(port, 1);
    expect(await client!.ask('hello')).toBe('hello');
  });

  // Windows does not tell that a backlog has connections: they are reset.
  test.runIf(process.platform === 'linux')(
    'connections that wait in the backlog when the listener stops are accepted, and end in order',
    async () => {
      const notes = new Notes();
      const { core, port } = await serveShared('script', { concurrency: 1, threads: 1 });
      const second = await serveShared('script', {}, {}, core);
      const [busy] = await connect(port, 1);
      busy!.socket.write('block 1');
      await notes.noted(1);
      // The only thread is blocked.
      const clients = await connect(second.port, 20);
      const errors: string[] = [];
      for (const { socket } of clients) {
        socket.on('error', ({ code }: NodeJS.ErrnoException) => errors.push(code!));
        socket.resume().on('end', () => socket.end());
      }
      const stopped = second.listener.stop();
      notes.set(1);
      await stopped;
      await Promise.all(clients.map(({ closed }) => closed));
      expect(errors).toEqual([]);
      expect(second.listener.stats.accepted).toBe(20);
    },
  );
});
