// Statistics that a package above registers.

import { expect, test } from 'vitest';
import { countersOf, registerStats, Stat, StatsBlock, sum } from '../src/stats.js';

test("registered statistics are read, summed and kept like the core's own, under the same index each time", () => {
  const before = new StatsBlock().read();
  const registered = registerStats(['testLevel'], ['testCounter', 'packets']);
  expect(registered.packets).toBe(Stat.packets);
  expect(registerStats(['testLevel'], ['testCounter', 'packets'])).toEqual(registered);
  expect(new Set([...Object.values(Stat), ...Object.values(registered)]).size).toBe(Object.keys(Stat).length + 2);

  const { memory, values } = new StatsBlock();
  values[registered.testLevel] = 3;
  values[registered.testCounter] = 4;
  values[Stat.packets] = 5;
  // Another thread's view.
  const stats = new StatsBlock(memory).read();
  expect(stats).toMatchObject({ testLevel: 3, testCounter: 4, packets: 5 });
  expect(countersOf(stats)).toMatchObject({ testLevel: 0, testCounter: 4, packets: 5 });
  // The first one was read before the names were there.
  expect(sum([before, stats, stats])).toMatchObject({ testLevel: 6, testCounter: 8, packets: 10 });
});
