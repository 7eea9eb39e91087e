// The short form of the soak, on each backend; and that it finds what it is for.

import { describe, expect, test } from 'vitest';
import { hold } from '../src/hold.js';
import { growth } from '../src/level.js';
import type { Sample } from '../src/protocol.js';
import { soak } from '../src/soak.js';
import { backends, LONG, onLinux } from './support.js';

const short = { interval: 200, seed: 7 };

onLinux('a soak', () => {
  test.each(backends)('%s: seconds of mixed traffic', async (backend) => {
    const { failures, done, killed, suspended } = await soak({ ...short, backend, seconds: 1.5 });
    expect(failures).toEqual([]);
    expect(Object.keys(done)).toHaveLength(8);
    expect(killed).toBeGreaterThan(0);
    expect(suspended).toBeGreaterThan(0);
  });

  // Elsewhere the core's own thread serves them.
  test.runIf(backends.includes('epoll'))('seconds of mixed traffic with shared sessions', async () => {
    const { failures, done } = await soak({ ...short, shared: true, seconds: 1.5 });
    expect(failures).toEqual([]);
    expect(Object.keys(done)).toHaveLength(8);
  });

  test.each(backends)('%s: connections that are held', async (backend) => {
    const { failures, done } = await hold({ backend, seed: 7, seconds: 1, connections: 300 });
    expect(failures).toEqual([]);
    expect(done.messages).toBeGreaterThanOrEqual(300);
  });

  test('a server that is lost is found', async () => {
    const { failures } = await soak({ ...short, seconds: 60, plant: 'death' });
    expect(failures).toContainEqual(expect.stringMatching(/the server ended with SIGKILL/));
  });

  test('a byte that is changed is found', async () => {
    const { failures } = await soak({ ...short, seconds: 1, plant: 'byte' });
    expect(failures.join('\n')).toMatch(/byte 0 of \d+ is \d+ and not \d+/);
  });

  test('memory that is kept for ever is found', async () => {
    // A long soak tells it by itself.
    const seconds = LONG ? 40 : 1.5;
    const { failures, samples } = await soak({ ...short, seconds, interval: 50, plant: 'leak' });
    expect((LONG ? failures : growth(samples)).join('\n')).toMatch(/external grew/);
  });
});

describe('the rule of what is level', () => {
  const samples = (value: (i: number) => number) =>
    Array.from({ length: 60 }, (_, i) => new Proxy({}, { get: () => value(i) }) as Sample);

  test('noise, and what happens while all is warming up, are no growth', () => {
    expect(growth(samples((i) => (i < 12 ? 1e9 : 1000 + (i % 7))))).toEqual([]);
  });

  test('what grows all the time is', () => {
    expect(growth(samples((i) => i * 1e8))).toHaveLength(10);
  });

  test('too few samples tell nothing', () => {
    expect(growth(samples(() => 0).slice(0, 3))).toEqual(['3 samples are too few to tell']);
  });
});
