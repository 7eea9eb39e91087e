// The rules of a shared port, for each of its implementations.

import { once } from 'node:events';
import { expect, it } from 'vitest';
import { openSharedPort, type SharedPortToken } from '../../src/shared-port/index.js';
import { Crew } from './crew.js';
import { Event, Job } from './script.js';

/** For rules about threads that run: see Crew.start(). */
const UNSEEN = false;

/**
 * @param create makes a port with this concurrency.
 * @param skips rules that cannot be kept here, each with its reason.
 * @param tries in how many rounds a rule that counts running threads must be kept once. More than one for a kernel that
 *   lets the next thread run whenever one blocks, if only for a page, a lock, or a helper of the garbage collector.
 */
export function sharedPortRules(
  create: (concurrency: number) => SharedPortToken,
  skips: Readonly<Record<string, string>>,
  tries = 1,
): void {
  const names = new Set<string>();
  const rule = (name: string, test: () => void | Promise<void>) => {
    names.add(name);
    const reason = skips[name];
    if (reason === undefined) it(name, test);
    else it.skip(`${name} (${reason})`, test);
  };

  const countedRule = (name: string, test: () => Promise<void>) =>
    rule(name, async () => {
      for (let left = tries; ; left--) {
        try {
          await test();
          return;
        } catch (error) {
          if (left === 1) throw error;
        }
      }
    });

  rule('packets are pairs of unsigned numbers, first in first out', () => {
    const port = openSharedPort(create(1));
    const pairs = Array.from({ length: 1000 }, (_, i) => ({
      key: (2 ** 32 - 1 - i) >>> 0,
      bytes: (i * 4295000) >>> 0,
    }));
    for (const { key, bytes } of pairs) expect(port.post(key, bytes)).toBe(true);
    expect(pairs.map(() => ({ ...port.wait(0) }))).toEqual(pairs);
    expect(port.wait(0)).toBeNull();
    expect(port.closed).toBe(false);
    port.close();
  });

  rule('packets come first in first out to a thread that waits', async () => {
    const crew = new Crew(create(1));
    await crew.start(1);
    const keys = Array.from({ length: 500 }, (_, i) => i);
    for (const key of keys) crew.post(key, Job.None);
    await crew.until('all packets', () => crew.count(Event.Ends) === keys.length);
    expect(crew.started).toEqual(keys);
  });

  rule('a wait ends when its time is over, not before', () => {
    const port = openSharedPort(create(1));
    for (const timeout of [0, 1, 30]) {
      const start = performance.now();
      expect(port.wait(timeout)).toBeNull();
      // The clocks of the kernel and of JavaScript may differ by a fraction of a millisecond.
      expect(performance.now() - start).toBeGreaterThan(timeout - 1);
    }
    expect(port.post(1, 2)).toBe(true);
    expect({ ...port.wait(1000) }).toEqual({ key: 1, bytes: 2 });
    port.close();
  });

  rule('threads that wait wake last in first out', async () => {
    const crew = new Crew(create(4));
    await crew.start(4);
    // All four run at once, and go back to wait one after the other; then all four run again. The last must be the first.
    const runAll = async (keys: readonly number[]) => {
      for (const key of keys) crew.post(key, Job.Block);
      await crew.until('all to run', () => keys.every((key) => crew.has(Event.Starts, key)));
      for (const [ended, key] of keys.entries()) {
        crew.set(key);
        await crew.endsJob(key);
        await crew.lineUp(ended + 1);
      }
      return keys.map((key) => crew.log.find((entry) => entry.event === Event.Ends && entry.key === key)!.thread);
    };
    const turnsRound = async (first: number) => {
      const before = await runAll([first, first + 1, first + 2, first + 3]);
      const after = await runAll([first + 4, first + 5, first + 6, first + 7]);
      return after.join() === before.toReversed().join();
    };
    // A thread that has ended a job takes a moment to get into the line. Where nobody can see that the line need not turn
    // round each time; one that is first in first out hardly ever does.
    for (let round = 0; !(await turnsRound(round * 8)); round++) expect(round).toBeLessThan(50);
  });

  rule('a few busy threads keep being used while the others sleep', async () => {
    const crew = new Crew(create(4));
    await crew.start(6);
    // One runs, and another one where the first has not quite come back. On a busy machine that may take long, and more are
    // used; but there are moments when it does not. In turns, these jobs would need all six, always.
    const inARow = 24;
    const recent: number[] = [];
    for (let key = 1; new Set(recent).size > 2 || recent.length < inARow; key++) {
      expect(key).toBeLessThan(5000);
      crew.post(key, Job.None);
      await crew.endsJob(key);
      await crew.lineUp(6);
      recent.push(crew.log.findLast(({ event }) => event === Event.Ends)!.thread);
      if (recent.length > inARow) recent.shift();
    }
  });

  countedRule('at most `concurrency` threads run at a time', async () => {
    const crew = new Crew(create(2));
    await crew.start(5, UNSEEN);
    const count = 30;
    for (let key = 1; key <= 2; key++) crew.post(key, Job.Spin);
    for (let key = 3; key <= count; key++) crew.post(key, Job.Compute);
    for (let key = 1; key <= 2; key++) await crew.startsJob(key);
    for (let key = 1; key <= 2; key++) crew.set(key);
    await crew.until('all jobs', () => crew.count(Event.Ends) === count);
    let running = 0;
    const most = crew.log.reduce((max, { event }) => {
      if (event === Event.Starts) running++;
      if (event === Event.Ends) running--;
      return Math.max(max, running);
    }, 0);
    expect(most).toBe(2);
  });

  countedRule('a thread that comes back goes on without a switch', async () => {
    const crew = new Crew(create(1));
    await crew.start(3, UNSEEN);
    crew.post(1, Job.Spin);
    await crew.startsJob(1);
    for (let key = 2; key <= 100; key++) crew.post(key, Job.None);
    crew.set(1);
    await crew.until('all jobs', () => crew.count(Event.Ends) === 100);
    // It is the same thread all the time; a kernel may see it blocked, when the log is locked.
    const switches = crew.log
      .filter(({ event }) => event === Event.Ends)
      .filter(({ thread }, i, ends) => thread !== ends[i - 1]?.thread);
    expect(switches.length).toBeLessThan(5);
  });

  rule('a thread that blocks lets the next one start', async () => {
    const crew = new Crew(create(1));
    await crew.start(3);
    crew.post(1, Job.Block);
    await crew.startsJob(1);
    crew.post(2, Job.Block);
    await crew.startsJob(2);
    crew.post(3, Job.None);
    await crew.endsJob(3);
    crew.set(1);
    crew.set(2);
    await crew.until('the jobs to end', () => crew.has(Event.Ends, 1) && crew.has(Event.Ends, 2));
  });

  rule('a thread that declares that it blocks lets the next one start', async () => {
    const crew = new Crew(create(1));
    await crew.start(2);
    crew.post(1, Job.Declare);
    await crew.startsJob(1);
    crew.post(2, Job.None);
    await crew.endsJob(2);
    crew.set(1);
    await crew.endsJob(1);
  });

  countedRule('a thread that is busy does not let the next one start', async () => {
    const crew = new Crew(create(1));
    await crew.start(3, UNSEEN);
    crew.post(1, Job.Compute);
    crew.post(2, Job.Compute);
    crew.post(3, Job.Compute);
    await crew.endsJob(3);
    expect(crew.story).toEqual(['starts 1', 'ends 1', 'starts 2', 'ends 2', 'starts 3', 'ends 3']);
  });

  countedRule('a thread that was blocked counts again, from when it comes back', async () => {
    const crew = new Crew(create(1));
    await crew.start(1);
    crew.post(1, Job.Block);
    await crew.startsJob(1);
    await crew.start(2, UNSEEN);
    crew.post(2, Job.SpinThenCompute);
    await crew.startsJob(2);
    crew.post(3, Job.None);
    // Two run now. The one that ends first waits, though there is something to do.
    crew.set(1);
    await crew.endsJob(1);
    crew.set(2);
    await crew.endsJob(3);
    expect(crew.story).toEqual(['starts 1', 'starts 2', 'ends 1', 'ends 2', 'starts 3', 'ends 3']);
  });

  rule('close() wakes all who wait, and nobody waits any more', async () => {
    const crew = new Crew(create(2));
    await crew.start(4);
    crew.post(1, Job.None);
    await crew.endsJob(1);
    crew.port.close();
    crew.port.close();
    await Promise.all(crew.exits);
    expect([crew.count(Event.Closed), crew.count(Event.Null)]).toEqual([4, 0]);
    expect(crew.port.closed).toBe(true);
    expect(crew.port.post(1, 1)).toBe(false);
    expect(crew.port.wait(-1)).toBeNull();
    expect(openSharedPort(crew.token).wait(0)).toBeNull();
  });

  rule('close() wakes also those who wait for a slot', async () => {
    const crew = new Crew(create(1));
    await crew.start(3, UNSEEN);
    crew.post(1, Job.Spin);
    await crew.startsJob(1);
    crew.post(2, Job.None);
    crew.port.close();
    await crew.until('those who wait', () => crew.count(Event.Closed) === 2);
    crew.set(1);
    await Promise.all(crew.exits);
    expect(crew.has(Event.Starts, 2)).toBe(false);
    expect(crew.count(Event.Closed)).toBe(3);
  });

  rule('a thread that is terminated leaves the port to the others', async () => {
    const crew = new Crew(create(1));
    await crew.start(2);
    crew.post(1, Job.Spin);
    await crew.startsJob(1);
    const { thread } = crew.log.find(({ event }) => event === Event.Starts)!;
    const worker = crew.workers[thread - 1]!;
    const { threadId } = worker;
    const exit = once(worker, 'exit');
    void worker.terminate();
    await exit;
    crew.port.recover(threadId);
    crew.post(2, Job.None);
    await crew.endsJob(2);
    expect(crew.count(Event.Ends)).toBe(1);
  });

  it('skips rules that exist', () => {
    expect(Object.keys(skips).filter((name) => !names.has(name))).toEqual([]);
  });
}
