// Each pool of jobs for a moment: all jobs come back.

import { expect, test } from 'vitest';
import { keepBusy, mixed, noop, openPools } from '../src/jobs/pools.js';
import { takeTurns } from '../src/measuring/rounds.js';

test.each([undefined, 2])('every pool runs the jobs (threads: %s)', { timeout: 180_000 }, async (threads) => {
  const pools = openPools(threads);
  expect(pools.map(({ by }) => by)).toEqual(['JobPool', 'piscina', 'tinypool']);
  const measures = [keepBusy(1, 0.05, noop), keepBusy(20, 0.05, noop), keepBusy(20, 0.05, mixed)];
  for (const measure of measures) {
    for (const { samples } of await takeTurns(pools, 1, measure, 0)) {
      expect(samples.map(({ rate, cpu }) => [rate > 0, cpu > 0])).toEqual([[true, true]]);
    }
  }
  for (const pool of pools) {
    await pool.run('block', 1);
    await pool.stop();
  }
});

test('three of ten jobs block, the same ones each time', () => {
  const jobs: string[] = [];
  const pool = { by: 'none', run: async (job: string) => void jobs.push(job), stop: async () => {} };
  for (let number = 0; number < 20; number++) void mixed(pool, number);
  expect(jobs.filter((job) => job === 'block')).toHaveLength(6);
  expect(jobs.slice(0, 10)).toEqual(jobs.slice(10));
});
