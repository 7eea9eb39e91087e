// The pump as users of a core see it: what is put off is done once, no one starves the event loop, and an owner that
// throws harms nobody else.

import type { CompletionPort } from '@overlapped/iocp-native';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Core } from '../src/core.js';
import { onFlush } from '../src/owners.js';
import { Drain } from '../src/pump.js';
import { thisSystem } from '../src/system.js';
import { catchUncaught, Inbox, makeCore, pumps, turns } from './support.js';

/** Batches in a turn, and packets in a batch. */
const MOST_IN_A_TURN = 8 * 256;
/** Where what posts to itself stops, should it starve the test. */
const ENOUGH = 200_000;

test('a packet has no turn of ticks behind it, if it called no handler', () => {
  const log: unknown[] = [];
  const port = { dequeue: () => 3 } as unknown as CompletionPort;
  const given = [undefined, false, true];
  const target = {
    dispatch() {
      const handled = given.shift();
      log.push(handled);
      return handled;
    },
    flush: () => false,
  };
  const drain = new Drain(port, target, () => log.push('ticks'));
  drain.fill(0);
  drain.dispatch(1000);
  expect(log).toEqual([undefined, 'ticks', false, true, 'ticks']);
});

describe.each(pumps)('the pump, $pump by $backend', ({ options }) => {
  test('flushes after the batch', async () => {
    const core = makeCore(options);
    const log: string[] = [];
    const flushable = { [onFlush]: () => log.push('flush') };
    const target = {
      onPost(name: string) {
        log.push(name);
        if (name === 'one') core.flushSoon(flushable);
      },
    };
    const end = new Inbox<null>(1);
    for (const name of ['one', 'two', 'three']) core.post(target, name);
    core.post(end, null);
    await end.all;
    await turns(1);
    expect(log).toEqual(['one', 'two', 'three', 'flush']);
  });

  test('each packet has a turn of ticks and promises behind it, before the next one and before the flush', async () => {
    const core = makeCore(options);
    const log: string[] = [];
    const flushable = { [onFlush]: () => log.push('flush') };
    const target = {
      onPost(name: string) {
        core.flushSoon(flushable);
        process.nextTick(() => log.push(`${name}, tick`));
        void Promise.resolve().then(() => log.push(`${name}, promise`));
        log.push(name);
      },
    };
    const end = new Inbox<null>(1);
    for (const name of ['one', 'two']) core.post(target, name);
    core.post(end, null);
    await end.all;
    await turns(1);
    const expected = ['one', 'one, tick', 'one, promise', 'two', 'two, tick', 'two, promise', 'flush', 'flush'];
    expect(log).toEqual(expected);
  });

  test('a flush that calls handlers has such a turn behind it, too', async () => {
    const core = makeCore(options);
    const log: string[] = [];
    const flushable = (name: string) => ({
      [onFlush]() {
        process.nextTick(() => log.push(`${name}, tick`));
        log.push(name);
      },
    });
    core.flushSoon(flushable('one'));
    core.flushSoon(flushable('two'));
    await turns(3);
    expect(log).toEqual(['one', 'one, tick', 'two', 'two, tick']);
  });

  test('a tick that throws is an uncaught exception, and the rest is served', async () => {
    const core = makeCore(options);
    const caught = catchUncaught();
    const inbox = new Inbox<string>(2);
    const throwsLater = {
      [onFlush]: () => throwInTick('flush'),
      onPost: () => throwInTick('post'),
    };
    let flushed = 0;
    const flushable = { [onFlush]: () => flushed++ };
    core.flushSoon(throwsLater);
    core.flushSoon(flushable);
    core.post(throwsLater, null);
    core.post(inbox, 'one');
    core.post(throwsLater, null);
    core.post(inbox, 'two');
    await inbox.all;
    expect(inbox.got).toEqual(['one', 'two']);
    expect(flushed).toBe(1);
    expect(caught.map(String)).toEqual(['Error: flush', 'Error: post', 'Error: post']);
  });

  test.each(['packet', 'flush'])(
    'a core that is stopped in a tick of its own %s touches its port no more',
    async (of) => {
      const caught = catchUncaught();
      const core = new Core({ maxSessions: 16, ...options });
      const { dequeue } = core.port;
      let stopped = false;
      const late: string[] = [];
      core.port.dequeue = (batch, timeout) => {
        if (stopped) late.push('dequeue');
        return stopped ? 0 : dequeue.call(core.port, batch, timeout);
      };
      const mark = (what: string) => {
        if (stopped) late.push(what);
      };
      const over = new Promise<void>((resolve) => {
        const stop = () => {
          process.nextTick(() => {
            void core.stop().then(() => {
              stopped = true;
              resolve();
            });
          });
        };
        const flushables = [{ [onFlush]: () => mark('flush') }, { [onFlush]: () => mark('flush') }];
        if (of === 'packet') {
          core.post({ onPost: stop }, null);
          core.post({ onPost: () => mark('packet') }, null);
        } else {
          flushables.splice(1, 0, { [onFlush]: stop });
        }
        for (const flushable of flushables) core.flushSoon(flushable);
      });
      await over;
      await turns(3);
      expect(late).toEqual([]);
      expect(caught).toEqual([]);
    },
  );

  test("other timers in the place of Node's, as of a test, do not stop it", async () => {
    const core = makeCore(options);
    const { setImmediate } = globalThis;
    const inbox = new Inbox<string>(2);
    core.post(inbox, 'one');
    globalThis.setImmediate = (() => ({ unref() {}, ref() {} })) as unknown as typeof setImmediate;
    onTestFinished(() => {
      globalThis.setImmediate = setImmediate;
    });
    core.post(inbox, 'two');
    core.flushSoon({ [onFlush]() {} });
    await inbox.all;
  });

  test('says how long dispatching took, without the waiting', async () => {
    const core = makeCore(options);
    const busy = { onPost: block };
    const began = performance.now();
    const waited = await measure(() => new Promise((resolve) => setTimeout(resolve, 50)));
    const end = new Inbox<null>(1);
    core.post(busy, 30);
    core.post(end, null);
    await end.all;
    await turns(2);
    const spent = core.stats().own.dispatchSeconds * 1000;
    expect(spent).toBeGreaterThanOrEqual(30);
    expect(spent).toBeLessThanOrEqual(performance.now() - began - waited);
  });

  test('flushes once for each request, also from a timer, a promise, and a flush', async () => {
    const core = makeCore(options);
    let flushes = 0;
    let more = 0;
    const flushable = {
      [onFlush]() {
        flushes++;
        if (more-- > 0) core.flushSoon(flushable);
      },
    };
    await turns(5);
    core.flushSoon(flushable);
    expect(flushes).toBe(0);
    await turns(5);
    expect(flushes).toBe(1);

    await new Promise<void>((resolve) => setTimeout(resolve, 2)).then(() => core.flushSoon(flushable));
    await turns(5);
    expect(flushes).toBe(2);

    setTimeout(() => core.flushSoon(flushable), 1);
    await new Promise((resolve) => setTimeout(resolve, 1));
    await turns(5);
    expect(flushes).toBe(3);

    more = 100;
    core.flushSoon(flushable);
    await turns(120);
    expect(flushes).toBe(104);
  });

  test('a target that keeps posting to itself starves neither immediates nor timers', async () => {
    const core = makeCore(options);
    let posts = 0;
    let running = true;
    const target = {
      onPost() {
        posts++;
        if (running && posts < ENOUGH) core.post(target, null);
      },
    };
    core.post(target, null);
    while (posts === 0) await turns(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    const before = posts;
    await turns(2);
    expect(posts - before).toBeLessThanOrEqual(3 * MOST_IN_A_TURN);
    expect(posts).toBeLessThan(ENOUGH);
    running = false;
    await turns(5);
  });

  test('a flush that keeps asking for another starves neither', async () => {
    const core = makeCore(options);
    let flushes = 0;
    let running = true;
    const flushable = {
      [onFlush]() {
        flushes++;
        if (running && flushes < ENOUGH) core.flushSoon(flushable);
      },
    };
    core.flushSoon(flushable);
    while (flushes === 0) await turns(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(flushes).toBeLessThan(ENOUGH);
    running = false;
    await turns(5);
  });

  test('one turn of the event loop has one turn of the pump, however often it was woken', async () => {
    const core = makeCore(options);
    let posts = 0;
    let running = true;
    const target = {
      onPost() {
        posts++;
        if (running && posts < ENOUGH) core.post(target, null);
      },
    };
    const idle = { [onFlush]() {} };
    // Each of these wakes the pump while the port's own watcher is about to call it, too.
    for (let i = 0; i < 20; i++) {
      core.post(target, null);
      core.flushSoon(idle);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const before = posts;
    await turns(1);
    const first = posts - before;
    await turns(1);
    expect(posts - before - first).toBeLessThanOrEqual(8 * 20);
    running = false;
    await turns(30);
  });

  test('an owner or a flush that throws surfaces, and the rest is served', async () => {
    const core = makeCore(options);
    const caught = catchUncaught();
    const inbox = new Inbox<string>(2);
    const broken = {
      onPost(reason: string) {
        throw new Error(reason);
      },
    };
    let flushed = false;
    core.flushSoon({
      [onFlush]() {
        throw new Error('in a flush');
      },
    });
    core.flushSoon({
      [onFlush]() {
        flushed = true;
      },
    });
    core.post(broken, 'first');
    core.post(inbox, 'one');
    core.post(broken, 'second');
    core.post(inbox, 'two');
    await inbox.all;
    await turns(2);
    expect(inbox.got).toEqual(['one', 'two']);
    expect(flushed).toBe(true);
    expect(caught.map(String).sort()).toEqual(['Error: first', 'Error: in a flush', 'Error: second']);
    const later = new Inbox<string>(1);
    core.post(later, 'later');
    await later.all;
  });
});

test('where ticks cannot be run, each packet has a turn of the event loop', async () => {
  const clock = { ...thisSystem.clock, runTicks: null };
  const core = makeCore({ system: { ...thisSystem, clock } });
  const log: string[] = [];
  const target = {
    onPost(name: string) {
      process.nextTick(() => log.push(`${name}, tick`));
      log.push(name);
    },
  };
  const end = new Inbox<null>(1);
  for (const name of ['one', 'two']) core.post(target, name);
  core.post(end, null);
  await end.all;
  expect(log).toEqual(['one', 'one, tick', 'two', 'two, tick']);
});

async function measure(wait: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await wait();
  return performance.now() - began;
}

function block(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}

function throwInTick(message: string): void {
  process.nextTick(() => {
    throw new Error(message);
  });
}
