// What a dedicated pump owes the event loop that it waits for: everything else on its thread goes on as ever, idle and
// under load, and an idle one sleeps.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isMainThread, Worker } from 'node:worker_threads';
import { openPoster } from '@overlapped/iocp-native';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Core } from '../src/core.js';
import { onFlush } from '../src/owners.js';
import { Inbox, makeCore, pumps } from './support.js';

const dedicated = pumps.filter(({ pump }) => pump === 'dedicated');

/** A target that posts to itself as fast as it can, until the test ends. */
function keepBusy(core: Core): void {
  let running = true;
  const target = {
    onPost() {
      if (running) core.post(target, null);
    },
  };
  core.post(target, null);
  onTestFinished(() => {
    running = false;
  });
}

function block(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}

describe.each(dedicated)('the dedicated pump, by $backend', ({ options }) => {
  // It looks each 10 ms whether there were packets. All of these come in one batch, and take several looks and turns.
  test('it does not go idle with something to flush', async () => {
    const core = makeCore(options);
    await new Promise<void>((resolve) => {
      for (let i = 1; i <= 8; i++) {
        const onPost = () => {
          block(4);
          if (i === 8) core.flushSoon({ [onFlush]: resolve });
        };
        core.post({ onPost }, null);
      }
    });
  });

  describe.each(['idle', 'busy'])('when %s', (state) => {
    const make = () => {
      const core = makeCore(options);
      if (state === 'busy') keepBusy(core);
      return core;
    };

    test('timers, immediates and promises run', async () => {
      make();
      await new Promise((resolve) => setTimeout(resolve, 10));
      await new Promise((resolve) => setImmediate(resolve));
      await Promise.resolve();
    });

    test('files are read, and HTTP is served and fetched', async () => {
      make();
      expect(await readFile(import.meta.filename, 'utf8')).toMatch('HTTP is served');
      const server = createServer((_request, response) => response.end('hello'));
      onTestFinished(() => void server.close());
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      expect(await response.text()).toBe('hello');
    });

    test('messages of other threads arrive', async () => {
      make();
      const source = `const { parentPort } = require('node:worker_threads');
        parentPort.once('message', (message) => parentPort.postMessage(message + 1));`;
      const worker = new Worker(source, { eval: true });
      // Both may come in one turn: an 'exit' delivers the messages before it.
      const exited = once(worker, 'exit');
      const answered = once(worker, 'message');
      worker.postMessage(41);
      expect(await answered).toEqual([42]);
      await exited;
    });

    test('all that the handler of a packet puts off runs', async () => {
      const core = make();
      const source = `require('node:worker_threads').parentPort.once('message', (message, parent) => message.postMessage(1));`;
      const worker = new Worker(source, { eval: true });
      onTestFinished(() => void worker.terminate());
      const asks: Record<string, (done: () => void) => unknown> = {
        'a tick': (done) => process.nextTick(done),
        'a promise': (done) => Promise.resolve().then(done),
        'an immediate': (done) => setImmediate(done),
        'a timer': (done) => setTimeout(done, 3),
        'a file': (done) => readFile(import.meta.filename).then(done),
        'a message of a thread': (done) => {
          const { port1, port2 } = new MessageChannel();
          port1.once('message', () => {
            port1.close();
            done();
          });
          worker.postMessage(port2, [port2]);
        },
      };
      for (const ask of Object.values(asks)) {
        await new Promise<void>((done) => core.post({ onPost: () => void ask(done) }, null));
      }
    });

    test('an immediate that a handler asks for waits for few other packets', async () => {
      const core = make();
      let served = 0;
      const { port } = core;
      const dequeue = port.dequeue.bind(port);
      port.dequeue = (batch, timeout) => {
        const count = dequeue(batch, timeout);
        served += count;
        return count;
      };
      const waited = await new Promise<number>((resolve) => {
        const onPost = () => {
          const before = served;
          setImmediate(() => resolve(served - before));
        };
        core.post({ onPost }, null);
      });
      // Each packet of a busy core brings one more. A batch may be under way, and epoll looks at the loop in each second dequeue().
      expect(waited).toBeLessThan(10);
    });

    test("the core's own timers and posts are served", async () => {
      const core = make();
      const inbox = new Inbox<number>(2);
      core.post(inbox, 1);
      setTimeout(() => core.post(inbox, 2), 5);
      await inbox.all;
      expect(inbox.got).toEqual([1, 2]);
    });
  });

  test('it sleeps while nothing happens', async () => {
    const core = makeCore(options);
    const { port } = core;
    let looks = 0;
    const dequeue = port.dequeue.bind(port);
    port.dequeue = (batch, timeout) => {
      looks++;
      return dequeue(batch, timeout);
    };
    // The loop has nothing to do for so long, unless somebody disturbs it. Who does not sleep looks thousands of times.
    let recent = Number.POSITIVE_INFINITY;
    for (let round = 0; recent > 20; round++) {
      expect(round).toBeLessThan(20);
      const before = looks;
      await new Promise((resolve) => setTimeout(resolve, 300));
      recent = looks - before;
    }
    expect(looks).toBeGreaterThan(0);
  });

  // In a worker it does not become a guest of the loop.
  test.skipIf(!isMainThread)('an idle one leaves its event loop idle, and goes on for whatever comes', async () => {
    let posted: (() => void) | undefined;
    const core = makeCore({ ...options, onPost: () => posted?.() });
    const poster = openPoster(core.share());
    const wakers: Record<string, (done: () => void) => void> = {
      'a post': (done) => core.post({ onPost: done }, null),
      'a post of another thread': (done) => {
        posted = done;
        poster.post(1, 1);
      },
      'a flush': (done) => core.flushSoon({ [onFlush]: done }),
    };
    for (const waker of Object.values(wakers)) {
      await untilIdle();
      await new Promise<void>((done) => waker(done));
    }
    await untilIdle();
  });

  // The same.
  test.skipIf(!isMainThread)('one that stops while it is idle stops', async () => {
    const core = new Core({ maxSessions: 16, ...options });
    await untilIdle();
    await core.stop();
  });

  test('a post of another thread wakes it', async () => {
    let got = (_value: number[]) => {};
    const posted = new Promise<number[]>((resolve) => (got = resolve));
    const core = makeCore({ ...options, onPost: (key, bytes) => got([key, bytes]) });
    // In a moment, when it sleeps.
    setTimeout(() => openPoster(core.share()).post(7, 42), 20);
    expect(await posted).toEqual([7, 42]);
  });

  test('it keeps its thread alive until it stops', async () => {
    const core = new Core({ maxSessions: 16, ...options });
    await core.stop();
    await expect(core.stop()).resolves.toBeUndefined();
  });
});

/** Load shedders go by this statistic. The runner may be busy meanwhile, so there are many tries. */
async function untilIdle(): Promise<void> {
  for (let round = 0, busy = 1; busy > 0.5; round++) {
    expect(round, `the event loop is busy: ${busy}`).toBeLessThan(100);
    const before = performance.eventLoopUtilization();
    await new Promise((resolve) => setTimeout(resolve, 50));
    busy = performance.eventLoopUtilization(before).utilization;
  }
}
