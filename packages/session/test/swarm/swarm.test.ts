// The swarm: thousands of seeds, each a run of its own.

import { expect, test } from 'vitest';
import { play } from './play.js';

const count = Number(process.env.OVERLAPPED_SWARM_SEEDS ?? 200);
const first = Number(process.env.OVERLAPPED_SWARM_FIRST ?? 1);

test(`${count} seeds`, { timeout: 600_000 }, async () => {
  const start = performance.now();
  const failures = [];
  for (let seed = first; seed < first + count; seed++) {
    const t0 = performance.now();
    const failure = await play(seed, process.env.OVERLAPPED_SWARM_TRACE ? { trace: console.log } : {});
    if (failure) {
      failures.push(failure);
      console.log(seed, (failure.error as Error)?.stack?.split('\n').slice(0, 8).join('\n'));
    }
    if (performance.now() - t0 > 100) console.log(`seed ${seed}: ${performance.now() - t0} ms`);
    await new Promise(setImmediate);
    if (failures.length > 5) break;
  }
  console.log(`${(performance.now() - start) / count} ms per seed`);
  expect(failures.length).toEqual(0);
});
