// Rules about a port that waits in the event loop's place, by waitForLoop().

import { readFile } from 'node:fs/promises';
import { expect, onTestFinished } from 'vitest';
import { type CompletionPort, createBatch } from '../../src/contract/port.js';
import type { Suite } from '../support/suite.js';
import { postFromThread } from '../support/threads.js';

/** Waits on the port in each turn of the event loop, as a dedicated pump does, until the test is over. Counts the waits. */
function host(port: CompletionPort) {
  const stats = { waits: 0, packets: 0 };
  const batch = createBatch(4);
  const turn = () => {
    immediate = setImmediate(turn);
    immediate.unref();
    stats.waits++;
    stats.packets += port.dequeue(batch, -1);
    immediate.ref();
  };
  port.waitForLoop();
  // A loop that nothing keeps alive does not sleep.
  const anchor = setInterval(() => {}, 2 ** 30);
  let immediate = setImmediate(turn);
  onTestFinished(() => {
    clearImmediate(immediate);
    clearInterval(anchor);
  });
  return stats;
}

export function hosting(suite: Suite): void {
  suite.rule('a wait ends for whatever the event loop has to do', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const stats = host(port);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setImmediate(resolve));
    expect(await readFile(import.meta.filename, 'utf8')).toMatch(/whatever/);
    const { port1, port2 } = new MessageChannel();
    const message = new Promise((resolve) => port2.once('message', resolve));
    port1.postMessage('hello');
    expect(await message).toBe('hello');
    port1.close();
    setTimeout(() => port.post('late', 1), 5);
    while (stats.packets === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(stats.packets).toBe(1);
  });

  suite.rule('while packets come, the port tells when the event loop has something to do', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    port.waitForLoop();
    const anchor = setInterval(() => {}, 2 ** 30);
    onTestFinished(() => clearInterval(anchor));
    const batch = createBatch(4);
    const { port1, port2 } = new MessageChannel();
    onTestFinished(() => port1.close());
    const asks: Record<string, (done: () => void) => unknown> = {
      'an immediate': (done) => setImmediate(done),
      'a timer': (done) => setTimeout(done, 200),
      'a message': (done) => {
        port2.once('message', done);
        port1.postMessage('hello');
      },
      'a file': (done) => readFile(import.meta.filename).then(done),
    };
    const mostOf: Record<string, number> = {};
    for (const [name, ask] of Object.entries(asks)) {
      let done = false;
      ask(() => {
        done = true;
      });
      mostOf[name] = 0;
      while (!done) {
        let served = 0;
        do {
          expect(served, `${name} waits`).toBeLessThan(1_000_000);
          port.post('again', 1);
          served += port.dequeue(batch, -1);
        } while (!port.loopDue);
        mostOf[name] = Math.max(mostOf[name]!, served);
        // The loop turns: to its poll phase, and beyond.
        await new Promise((resolve) => setImmediate(resolve));
        // Until the immediates of this turn have run, Node lets the loop not sleep, unless the last pending one goes.
        clearImmediate(setImmediate(() => {}));
      }
    }
    // Both are there at once; epoll looks in each second dequeue().
    expect(mostOf['an immediate']).toBeLessThan(4);
    expect(mostOf['a message']).toBeLessThan(4);
    // Without a turn for each packet, where a dequeue() that has packets looks at the loop.
    if (port.backend !== 'iocp') expect(mostOf['a timer']).toBeGreaterThan(10);
  });

  suite.rule('a port that hosts the loop sleeps as long as that may', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const stats = host(port);
    // The loop has nothing to do for so long, unless something disturbs it. A port that does not sleep waits thousands of times.
    let waits = Number.POSITIVE_INFINITY;
    for (let round = 0; waits > 20; round++) {
      expect(round).toBeLessThan(20);
      const before = stats.waits;
      await new Promise((resolve) => setTimeout(resolve, 300));
      waits = stats.waits - before;
    }
    expect(stats.waits).toBeGreaterThan(0);
  });

  suite.rule(
    'a port that is watched in a loop that another one hosts is served, and the loop still sleeps',
    async () => {
      const { port, pump } = suite.rig();
      const other = suite.rig();
      pump.stop();
      other.pump.stop();
      const stats = host(port);
      const batch = createBatch(1);
      const [count, spread] = [20, 30_000];
      const posting = postFromThread(other.port.share(), 1, count, { spread });
      const order: string[] = [];
      let waits = 0;
      for (let seen = 0; seen < count; seen++) {
        const before = stats.waits;
        const watched = new Promise<void>((resolve) => other.port.watch(resolve));
        // Nothing else wakes the loop while the thread posts; it has started when its first post is here.
        const late = seen > 0 && setTimeout(() => order.push('a timer'), 3000);
        await watched;
        if (late) clearTimeout(late);
        order.push('a post');
        if (seen > 0) waits = Math.max(waits, stats.waits - before);
        expect(other.port.dequeue(batch, 0)).toBe(1);
      }
      expect(order).toEqual(Array.from({ length: count }, () => 'a post'));
      // One that does not sleep waits thousands of times.
      expect(waits).toBeLessThan(1000);
      await posting;
    },
  );

  suite.rule(
    'a port that has hosted the loop, and is watched then, is told whatever the loop has served meanwhile',
    async () => {
      const { port, pump } = suite.rig();
      pump.stop();
      port.waitForLoop();
      const batch = createBatch(4);
      for (let round = 0; round < 3; round++) {
        expect(port.dequeue(batch, 1)).toBe(0);
        let watched = new Promise<void>((resolve) => port.watch(resolve));
        // A thread of libuv's pool tells the loop by an eventfd.
        for (let i = 0; i < 3; i++) await readFile(import.meta.filename);
        const posting = postFromThread(port.share(), 1, 1);
        await watched;
        while (port.dequeue(batch, 0) === 0) {
          watched = new Promise<void>((resolve) => port.watch(resolve));
          await watched;
        }
        port.unwatch();
        await posting;
      }
    },
  );

  suite.rule('a port that cannot wait does not host the loop: ENOTSUP', () => {
    const { port } = suite.rig();
    expect(() => port.waitForLoop()).toThrow(expect.objectContaining({ code: 'ENOTSUP' }));
  });
}
