// Limits and timeouts of a listener whose sessions run in worker threads: which hold in all, and which in each thread.

import { BlockList } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { onEachBackend } from './support.js';
import { Client, connect, isNative, serve, until } from './threads.js';

function list(...addresses: string[]): BlockList {
  const made = new BlockList();
  for (const address of addresses) made.addAddress(address);
  return made;
}

/** What one more client is answered; undefined when it is reset. */
async function answer(port: number, text: string): Promise<{ client: Client; text: string | undefined }> {
  const client = new Client(port);
  onTestFinished(() => void client.socket.destroy());
  const got = await Promise.race([client.ask(text), client.closed.then(() => undefined)]).catch(() => undefined);
  return { client, text: got };
}

onEachBackend((backend) => {
  // Sockets of node:net cannot move between threads.
  describe.runIf(isNative(backend))('a listener with worker threads', () => {
    test('has the most sessions in all threads, and room again when one ends or a thread is lost', async () => {
      const { core, listener, port, nextLoss } = await serve({ backend }, { maxSessions: 3 });
      const clients = await connect(port, 3);
      const threads = await Promise.all(clients.map((client) => client.ask('who')));
      expect(new Set(threads).size).toBe(2);
      expect((await answer(port, 'who')).text).toBeUndefined();
      expect(listener.stats).toMatchObject({ accepted: 3, refused: 1 });
      expect(core.stats().total).toMatchObject({ refused: 1, refusedFull: 1 });
      clients[0]!.socket.destroy();
      await until(() => core.stats().total.sessions === 2);
      const next = await answer(port, 'who');
      expect(next.text).toBeDefined();
      const loss = nextLoss();
      next.client.socket.write('crash');
      await loss;
      await until(async () => (await answer(port, 'who')).text !== undefined);
    });

    test('leaves others to the kernel until there is room', async () => {
      const { core, listener, port } = await serve({ backend }, { maxSessions: 2, whenFull: 'wait' });
      const clients = await connect(port, 6);
      const all = clients.map(async (client) => {
        await client.ask('who');
        expect(core.stats().total.sessions).toBeLessThanOrEqual(2);
        client.socket.destroy();
      });
      await Promise.all(all);
      expect(listener.stats).toEqual({ accepted: 6, failed: 0, refused: 0 });
    });

    test('has the most sessions of an address in each thread', async () => {
      const { core, port } = await serve({ backend }, { maxSessionsPerAddress: 1 });
      const clients = await connect(port, 2);
      const threads = await Promise.all(clients.map((client) => client.ask('who')));
      expect(new Set(threads).size).toBe(2);
      for (let i = 0; i < 3; i++) expect((await answer(port, 'who')).text).toBeUndefined();
      expect(core.stats().total).toMatchObject({ refusedAddress: 3, sessions: 2, accepted: 2, ended: 0 });
      // What was refused does not count as being there.
      clients[0]!.socket.destroy();
      await until(() => core.stats().total.sessions === 1);
      expect((await answer(port, 'who')).text).toBe(threads[0]);
    });

    test('denies on the thread that accepts, and takes a rate', async () => {
      const { core, port } = await serve({ backend }, { deny: list('127.0.0.1') });
      expect((await answer(port, 'who')).text).toBeUndefined();
      expect(core.stats().own.refusedDenied).toBe(1);
      const other = await serve({ backend }, { allow: list('127.0.0.1'), rate: { perSecond: 0.001, burst: 2 } });
      for (let i = 0; i < 2; i++) expect((await answer(other.port, 'who')).text).toBeDefined();
      expect((await answer(other.port, 'who')).text).toBeUndefined();
      expect(other.core.stats().own.refusedRate).toBe(1);
    });

    test('times sessions out, and ends one that queues too much', async () => {
      const timing = await serve({ backend }, { timeouts: { read: 20 } });
      const silent = new Client(timing.port);
      await silent.closed;
      await until(() => timing.core.stats().total.timedOut === 1);
      const limiting = await serve({ backend }, { queueLimit: { perSession: 100 } });
      expect((await answer(limiting.port, 'x'.repeat(101))).text).toBeUndefined();
      expect((await answer(limiting.port, 'hello')).text).toBe('hello');
      await until(() => limiting.core.stats().total.overflowed === 1);
    });

    test('reads PROXY headers in its threads', async () => {
      const { core, port } = await serve(
        { backend },
        { proxy: { trusted: list('127.0.0.1'), timeout: 50 }, maxSessions: 1 },
      );
      const silent = new Client(port);
      await silent.closed;
      await until(() => core.stats().total.refusedProxy === 1);
      // A header that does not come in time leaves its place to others, such as one that comes at once.
      const header = 'PROXY TCP4 192.0.2.7 10.0.0.1 1000 443\r\n';
      await until(async () => (await answer(port, `${header}where`)).text === '192.0.2.7');
    });

    // Only Linux spreads connections over listening sockets.
    test.runIf(process.platform === 'linux')('with reusePort has every limit in each thread', async () => {
      const { core, port } = await serve({ backend }, { reusePort: true, maxSessions: 1, deny: list('192.0.2.1') });
      const answers = await Promise.all(Array.from({ length: 60 }, () => answer(port, 'who')));
      const served = answers.filter(({ text }) => text !== undefined);
      expect(served).toHaveLength(2);
      expect(core.stats().total).toMatchObject({ refusedFull: 58, sessions: 2 });
    });
  });

  // The module runs on the core's own thread there.
  test.runIf(!isNative(backend))('a backend that cannot share has the same limits', async () => {
    const { core, port } = await serve({ backend }, { maxSessions: 1, deny: list('192.0.2.1') });
    expect((await answer(port, 'who')).text).toBeDefined();
    expect((await answer(port, 'who')).text).toBeUndefined();
    expect(core.stats().total.refusedFull).toBe(1);
  });
});
