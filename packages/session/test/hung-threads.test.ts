// Worker threads that do not run, as a handler does not return: they are told of, they get nothing more, and nothing waits
// for them.

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { candidates } from '@overlapped/iocp-native';
import { broadcast, Listener } from '@overlapped/session';
import { describe, expect, onTestFinished, test } from 'vitest';
import { byThread, type Client, connect, isNative, LINE, serve, until } from './threads.js';

const backends = candidates().filter(({ name, availability }) => availability.available && isNative(name));

/** The clients of two threads: one of which is to hang, and the others. */
async function twoThreads(port: number): Promise<[doomed: Client[], others: Client[]]> {
  const groups = [...(await byThread(await connect(port, 10))).values()];
  expect(groups).toHaveLength(2);
  return [groups[0]!, groups[1]!];
}

const warningOf = () => new Promise<Error>((resolve) => process.once('warning', resolve));

// A backend whose sockets cannot move between threads has none.
describe.each(backends)('on $name', ({ name: backend }) => {
  test.each(['hang', 'sleep'])('stop() of a core ends within its grace when a thread %ss', async (how) => {
    const { core, port, losses } = await serve({ backend });
    const [doomed, others] = await twoThreads(port);
    doomed[0]!.socket.write(how);
    await core.stop(300);
    await Promise.all([...doomed, ...others].map(({ closed }) => closed));
    expect(losses.map(({ error }) => error)).toMatchObject([{ code: 'ETIMEDOUT' }]);
    expect(core.stats().total).toMatchObject({ accepted: 10, sessions: 0, lost: 5 });
  });

  test('stop() of a listener does, too, and the core goes on', async () => {
    const { core, listener, port, nextLoss } = await serve({ backend });
    const [doomed, others] = await twoThreads(port);
    const lost = nextLoss();
    doomed[0]!.socket.write('hang');
    await listener.stop(300);
    await lost;
    await until(() => core.stats().hungWorkers === 0);
    await Promise.all([...doomed, ...others].map(({ closed }) => closed));
    expect(core.stats().total).toMatchObject({ accepted: 10, sessions: 0, lost: 5 });
    const again = await Listener.listen(core, { host: '127.0.0.1', port: 0, module: LINE });
    const [client] = await connect(again.endpoint.port, 1);
    expect(await client!.ask('hello')).toBe('hello');
  });

  test('it is told of once, gets nothing more, and the others do not miss it', async () => {
    const { core, port } = await serve({ backend });
    const [doomed, others] = await twoThreads(port);
    const thread = await doomed[0]!.ask('who');
    const warned = warningOf();
    const file = join(mkdtempSync(join(tmpdir(), 'hung-')), 'hold');
    writeFileSync(file, '');
    onTestFinished(() => rmSync(join(file, '..'), { recursive: true, force: true }));
    doomed[0]!.socket.write(`hold ${file}`);
    expect((await warned).message).toMatch(/worker thread [01] has not run for 5 s/);
    expect(core.stats().hungWorkers).toBe(1);
    // All that comes goes to the other thread, which has more sessions.
    const newcomers = await connect(port, 20);
    expect((await byThread(newcomers)).size).toBe(1);
    // More messages than there are.
    const [heard] = others;
    for (let i = 0; i < 1500; i++) {
      const next = once(heard!.socket, 'data');
      expect(broadcast(core, 'x')).toBe(true);
      await next;
    }
    // A second listener is served by the thread that runs.
    const second = await Listener.listen(core, { host: '127.0.0.1', port: 0, module: LINE });
    const [client] = await connect(second.endpoint.port, 1);
    expect(await client!.ask('hello')).toBe('hello');
    expect(core.stats().total).toMatchObject({ sessions: 31, lost: 0 });
    // It runs again: its clients are served, it hears broadcasts, and it gets connections.
    rmSync(file);
    await until(() => core.stats().hungWorkers === 0);
    const late = once(doomed[1]!.socket, 'data');
    broadcast(core, 'welcome back');
    expect(String((await late)[0])).toBe('welcome back');
    expect([...(await byThread(await connect(second.endpoint.port, 10))).keys()]).toEqual([thread]);
  });
});
