// TimerQueue against a model: at any time what is due has run, in the order of due times, and the event loop is held only
// while something is set.

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Timer, TimerQueue } from '../src/timers.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const TIMERS = 6;

/** The timers under test, and the model: which of them are due when. A timer that runs may set another. */
class Rig {
  readonly queue = new TimerQueue();
  readonly due = new Map<number, number>();
  readonly next = new Map<number, { timer: number; delay: number }>();
  readonly timers = Array.from({ length: TIMERS }, (_, i) => new Timer(() => this.#ran(i)));

  set(i: number, delay: number): void {
    this.queue.set(this.timers[i]!, delay);
    this.due.set(i, performance.now() + Math.max(1, delay));
  }

  clear(i: number): void {
    this.queue.clear(this.timers[i]!);
    this.due.delete(i);
  }

  agree(): void {
    expect(this.queue.size).toBe(this.due.size);
    expect(Math.min(...this.due.values())).toBeGreaterThan(performance.now());
    for (const [i, timer] of this.timers.entries()) expect(timer.index >= 0).toBe(this.due.has(i));
    expect(vi.getTimerCount()).toBe(this.due.size === 0 ? 0 : 1);
  }

  #ran(i: number): void {
    const due = this.due.get(i);
    expect(due, `timer ${i} runs when it is set`).toBeDefined();
    expect(due).toBe(Math.min(...this.due.values()));
    expect(due).toBeLessThanOrEqual(performance.now());
    this.due.delete(i);
    const next = this.next.get(i);
    this.next.delete(i);
    if (next !== undefined) this.set(next.timer, next.delay);
  }
}

type Step = fc.Command<Record<string, never>, Rig>;

function step(name: string, run: (rig: Rig) => void): Step {
  return {
    check: () => true,
    run: (_, rig) => {
      run(rig);
      rig.agree();
    },
    toString: () => name,
  };
}

const timer = fc.nat(TIMERS - 1);
const delay = fc.integer({ min: -1, max: 50 });
const steps = fc.commands(
  [
    fc.tuple(timer, delay).map(([i, ms]) => step(`set(${i}, ${ms})`, (rig) => rig.set(i, ms))),
    timer.map((i) => step(`clear(${i})`, (rig) => rig.clear(i))),
    fc
      .record({ of: timer, timer, delay })
      .map(({ of, ...next }) =>
        step(`${of} will set(${next.timer}, ${next.delay})`, (rig) => void rig.next.set(of, next)),
      ),
    fc.nat(60).map((ms) => step(`advance(${ms})`, () => void vi.advanceTimersByTime(ms))),
  ],
  { maxCommands: 60 },
);

test('timers run in the order of their due times, whatever is set, moved and cleared', () => {
  fc.assert(
    fc.property(steps, (commands) => {
      const rig = new Rig();
      fc.modelRun(() => ({ model: {}, real: rig }), commands);
      rig.next.clear();
      vi.advanceTimersByTime(100);
      rig.agree();
      expect(rig.queue.size).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('a timer of the event loop that fires early runs nothing before it is due', () => {
  let clock = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => clock);
  const queue = new TimerQueue();
  const ran = vi.fn();
  queue.set(new Timer(ran), 10);
  clock = 1009.6;
  vi.advanceTimersByTime(10);
  expect(ran).not.toHaveBeenCalled();
  expect(queue.size).toBe(1);
  clock = 1010;
  vi.advanceTimersByTime(1);
  expect(ran).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});

test('a callback that throws does not lose the others', () => {
  const queue = new TimerQueue();
  const ran: string[] = [];
  queue.set(new Timer(() => ran.push('before')), 9);
  const broken = new Timer(() => {
    throw new Error('broken');
  });
  queue.set(broken, 10);
  queue.set(new Timer(() => ran.push('after')), 11);
  expect(() => vi.advanceTimersByTime(10)).toThrow('broken');
  expect(broken.index).toBe(-1);
  vi.advanceTimersByTime(2);
  expect(ran).toEqual(['before', 'after']);
  expect(queue.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test('a timer may wait longer than setTimeout() can', () => {
  const queue = new TimerQueue();
  const ran = vi.fn();
  const long = 2 ** 31 + 1000;
  const setTimeout = vi.spyOn(globalThis, 'setTimeout');
  queue.set(new Timer(ran), long);
  vi.advanceTimersByTime(long - 1);
  expect(ran).not.toHaveBeenCalled();
  expect(setTimeout).toHaveBeenCalledTimes(2);
  vi.advanceTimersByTime(1);
  expect(ran).toHaveBeenCalledOnce();
});

test('what is cleared or closed holds no event loop, and does not run', () => {
  const queue = new TimerQueue();
  const ran = vi.fn();
  const [one, two] = [new Timer(ran), new Timer(ran)];
  queue.clear(one);
  queue.set(one, 5);
  queue.clear(one);
  expect(vi.getTimerCount()).toBe(0);
  queue.set(one, 5);
  queue.set(two, 6);
  queue.close();
  expect(vi.getTimerCount()).toBe(0);
  expect([queue.size, one.index, two.index]).toEqual([0, -1, -1]);
  vi.advanceTimersByTime(10);
  expect(ran).not.toHaveBeenCalled();
});

test('many sets of one timer make one timer of the event loop', () => {
  const queue = new TimerQueue();
  const setTimeout = vi.spyOn(globalThis, 'setTimeout');
  const idle = new Timer(() => {});
  for (let i = 0; i < 1000; i++) queue.set(idle, 1000 + i);
  expect(setTimeout).toHaveBeenCalledOnce();
});

test.each([Number.NaN, '5', 10n, undefined, null, {}])(
  'a delay of %s is refused, and every other timer runs when it is due',
  (delay) => {
    const queue = new TimerQueue();
    const ran: number[] = [];
    const timers = Array.from({ length: 50 }, (_, i) => new Timer(() => ran.push(i)));
    const bad = new Timer(() => expect.fail());
    for (const [i, timer] of timers.entries()) {
      expect(() => queue.set(bad, delay as number)).toThrow(RangeError);
      queue.set(timer, 50 - i);
    }
    // One that is set keeps its time.
    expect(() => queue.set(timers[49]!, delay as number)).toThrow('delay must be a number of milliseconds, not');
    expect(queue.size).toBe(50);
    vi.advanceTimersByTime(50);
    expect(ran).toEqual(timers.map((_, i) => 49 - i));
    expect(() => new Timer(undefined as unknown as () => void)).toThrow(TypeError);
  },
);
