// A listener whose sessions run in worker threads: how they are spread, what the loss of a thread costs, and that nothing
// is left behind.

import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isIocpError } from '@overlapped/iocp-native';
import { type CoreStats, IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { describe, expect, onTestFinished, test } from 'vitest';
import { codeOf } from './streams.js';
import { onEveryBackend } from './support.js';
import { byThread, connect, isNative, LINE, serve, until } from './threads.js';

onEveryBackend((backend) => {
  const native = isNative(backend);

  // Sockets of node:net cannot move between threads.
  describe.runIf(native)('sessions in worker threads', () => {
    test('1,000 clients that stay are spread evenly', async () => {
      const { core, port } = await serve({ backend });
      const groups = await byThread(await connect(port, 1000));
      expect([...groups.values()].map((group) => group.length)).toEqual([500, 500]);
      expect(core.stats().total).toMatchObject({ accepted: 1000, sessions: 1000 } satisfies Partial<CoreStats>);
    });

    test('when clients leave, the emptier thread gets the next ones', async () => {
      const { core, port } = await serve({ backend });
      const [full, emptied] = [...(await byThread(await connect(port, 20))).entries()];
      for (const { socket } of emptied![1]) socket.end();
      await Promise.all(emptied![1].map(({ closed }) => closed));
      await until(() => core.stats().total.ended === 10);
      const groups = await byThread(await connect(port, 10));
      expect([...groups.keys()]).toEqual([emptied![0]]);
      expect(full![1]).toHaveLength(10);
    });

    test.each(['crash', 'exit', 'hog'])('a thread lost by "%s" costs its own sessions only', async (how) => {
      const { core, losses, nextLoss, port } = await serve({ backend, resourceLimits: { maxOldGenerationSizeMb: 32 } });
      const before = await byThread(await connect(port, 20));
      const [doomed, spared] = [...before.values()];
      const loss = nextLoss();
      let reset = 0;
      for (const { socket } of spared!) socket.once('close', () => reset++);
      doomed![0]!.socket.write(how);
      // In the middle of traffic.
      const echoes = Promise.all(spared!.map((client) => client.ask('still here')));
      await Promise.all([loss, ...doomed!.map(({ closed }) => closed)]);
      expect(await echoes).toEqual(spared!.map(() => 'still here'));
      expect(losses).toHaveLength(1);
      const expected = { crash: /outside of a handler/, exit: /exit code 3/, hog: /memory/ }[how]!;
      expect(losses[0]!.error.message).toMatch(expected);
      // What was counted before the loss is counted once, before and after it is replaced.
      expect(core.stats().total.accepted).toBe(20);
      // The listener has gone on, and the new thread takes what comes.
      await until(() => core.stats().workers[losses[0]!.index]!.sessions === 0);
      const others = await byThread(await connect(port, 20));
      expect(await Promise.all(spared!.map((client) => client.ask('and now')))).toEqual(spared!.map(() => 'and now'));
      expect(reset).toBe(0);
      expect([...others.values()].flat()).toHaveLength(20);
      // A new thread takes the place, and what comes.
      await until(async () => {
        const [client] = await connect(port, 1);
        const thread = await client!.ask('who');
        // The other thread would be full of them before a slow machine has replaced this one.
        client!.socket.destroy();
        return !before.has(thread);
      });
    });

    test('no connection that was handed to a thread is forgotten when that ends', async () => {
      const { port, nextLoss } = await serve({ backend, threads: 1 });
      const [busy, last] = await connect(port, 2);
      await Promise.all([busy!.ask('who'), last!.ask('who')]);
      const folder = mkdtempSync(join(tmpdir(), 'hand-over-'));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      writeFileSync(join(folder, 'hold'), '');
      busy!.socket.write(`hold ${join(folder, 'hold')}`);
      // While the thread is busy they wait in its queue; it takes them in one batch with what has it end.
      const clients = await connect(port, 100);
      last!.socket.write('exit');
      const lost = nextLoss();
      rmSync(join(folder, 'hold'));
      await lost;
      // Served by the next thread, or closed, on Windows by a reset: no client waits for ever.
      const fates = clients.map((client) => Promise.race([client.ask('hello'), client.closed]).catch(codeOf));
      const failures = (await Promise.all(fates)).filter((fate) => typeof fate === 'string' && fate !== 'hello');
      expect(failures.filter((code) => code !== 'ECONNRESET')).toEqual([]);
    });

    test('a handler that throws costs one session', async () => {
      const { losses, port } = await serve({ backend });
      const clients = await connect(port, 4);
      clients[0]!.socket.write('throw');
      await clients[0]!.closed;
      expect(await Promise.all(clients.slice(1).map((client) => client.ask('x')))).toEqual(['x', 'x', 'x']);
      expect(losses).toEqual([]);
    });

    test('stopping flushes what is queued and ends every session', async () => {
      const { core, port } = await serve({ backend });
      const clients = await connect(port, 20);
      await byThread(clients);
      const bytes = 1 << 20;
      const received = clients.map(async ({ socket }) => {
        let count = 0;
        for await (const data of socket) count += data.length;
        return count;
      });
      for (const { socket } of clients) socket.write(Buffer.alloc(bytes, 'x'));
      await until(() => core.stats().total.bytesReceived >= clients.length * bytes);
      await core.stop();
      expect(await Promise.all(received)).toEqual(clients.map(() => bytes));
      expect(core.stats().total).toMatchObject({ sessions: 0, bytesQueued: 0, events: 0, sendBuffers: 0 });
    });

    test('packets can be posted to a thread', async () => {
      const { core, port } = await serve({ backend });
      const [client] = await connect(port, 1);
      expect(core.workers.post(0, 7, 4_000_000_000)).toBe(true);
      expect(core.workers.post(1, 7, 4_000_000_000)).toBe(true);
      let answer = await client!.ask('posted');
      while (answer === 'nothing') answer = await client!.ask('posted');
      expect(answer).toBe('7 4000000000');
      expect(() => core.workers.post(2, 7, 0)).toThrow(RangeError);
      expect(() => core.workers.post(0, 2 ** 31, 0)).toThrow(RangeError);
    });

    // Only Linux spreads connections over listening sockets.
    test.runIf(process.platform === 'linux')('with reusePort each thread listens for itself', async () => {
      const { core, port } = await serve({ backend }, { reusePort: true });
      const clients = await connect(port, 100);
      const groups = await byThread(clients);
      expect(groups.size).toBe(2);
      await core.stop();
      await Promise.all(clients.map(({ closed }) => closed));
    });

    test('what a thread refuses keeps its code, its class and its cause', async () => {
      const { core, port } = await serve({ backend });
      const at = { host: '127.0.0.1', port: 0 };
      if (process.platform === 'linux') {
        // Without reusePort the listening socket is in the way of the threads' own.
        const taken = await Listener.listen(core, { ...at, port, module: LINE, reusePort: true }).catch(
          (error) => error,
        );
        expect(isIocpError(taken)).toBe(true);
        expect(taken).toMatchObject({ name: 'IocpError', code: 'EADDRINUSE', syscall: 'bind' });
      }
      const broken = new URL('./modules/broken.js', import.meta.url);
      const thrown = await Listener.listen(core, { ...at, module: broken }).catch((error) => error);
      expect(thrown).toBeInstanceOf(RangeError);
      expect(thrown).toMatchObject({ message: 'a bug of the module', code: 'E_BUG', cause: { code: 'ENOENT' } });
    });

    test('a port in use is refused', async () => {
      const { core, port } = await serve({ backend });
      const again = Listener.listen(core, { host: '127.0.0.1', port, module: LINE });
      await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' });
    });
  });

  // Where threads can share, they do.
  test.runIf(!native)('a backend that cannot share runs the module on the core itself', async () => {
    const { core, listener, port } = await serve({ backend });
    const [client] = await connect(port, 1);
    expect(await client!.ask('hello')).toBe('hello');
    expect(listener.sessions.size).toBe(1);
    expect(core.threads).toBe(0);
  });

  test.each([
    ['a module that it exports', 'good', 'hello\n'],
    [
      'none, which a warning tells',
      'bad',
      'warning: own-module.mjs has no default export that is a subclass of Session, ',
    ],
  ])(
    'a program may be its own module where there are no threads, though it waits for listen(): %s',
    async (_, what, text) => {
      const script = fileURLToPath(new URL('./fixtures/own-module.mjs', import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, [script, backend, what], {
        timeout: 30_000,
      });
      expect(stdout).toContain(text);
    },
  );

  test('a module is a URL, its text, or an absolute path', async () => {
    const core = new IocpCore({ backend, threads: 1, maxSessions: 100 });
    onTestFinished(() => core.stop(500));
    const at = { host: '127.0.0.1', port: 0 };
    for (const module of [LINE, LINE.href, fileURLToPath(LINE)]) {
      const { endpoint } = await Listener.listen(core, { ...at, module });
      const [client] = await connect(endpoint.port, 1);
      expect(await client!.ask('hello')).toBe('hello');
    }
    for (const module of ['./line.js', 'line.js', 5, {}]) {
      const wrong = Listener.listen(core, { ...at, module: module as URL });
      await expect(wrong).rejects.toMatchObject({
        code: 'EINVAL',
        message: expect.stringContaining('Cannot listen: module must be a URL or an absolute path, not '),
      });
    }
  });

  test('a module that cannot be used is refused, and the core goes on', async () => {
    const { core, port } = await serve({ backend });
    const options = { host: '127.0.0.1', port: 0 };
    const nothing = new URL('./modules/nothing.js', import.meta.url);
    await expect(Listener.listen(core, { ...options, module: nothing })).rejects.toThrow(/default export/);
    const missing = new URL('./modules/missing.js', import.meta.url);
    await expect(Listener.listen(core, { ...options, module: missing })).rejects.toThrow(/missing/);
    const [client] = await connect(port, 1);
    expect(await client!.ask('hello')).toBe('hello');
  });
});

// Descriptors and threads are counted in /proc.
describe.runIf(process.platform === 'linux')('starting and stopping', () => {
  test('leaves no thread and no descriptor', async () => {
    const round = async () => {
      const core = new IocpCore({ threads: 2, maxSessions: 100 });
      const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, module: LINE });
      const clients = await connect(endpoint.port, 4);
      await byThread(clients);
      await core.stop();
      await Promise.all(clients.map(({ closed }) => closed));
    };
    await round();
    const before = [count('fd'), count('task')];
    // A leak of one each time shows in any of them.
    for (let i = 0; i < 5; i++) await round();
    await until(() => count('fd') <= before[0]! && count('task') <= before[1]!);
  });
});

function count(what: 'fd' | 'task'): number {
  return readdirSync(`/proc/self/${what}`).length;
}
