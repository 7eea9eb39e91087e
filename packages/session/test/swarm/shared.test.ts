// The swarm of shared sessions: thousands of seeds, each a run of its own. See swarm.test.ts for how to say which.

import { afterAll, beforeAll, describe, expect, type MockInstance, test, vi } from 'vitest';
import { sharedPlants } from './shared/plants.js';
import { playShared } from './shared/play.js';

const many = process.platform === 'linux' && process.env.CI !== undefined;
const count = Number(process.env.OVERLAPPED_SWARM_SEEDS ?? (many ? 3000 : 300));
const first = Number(process.env.OVERLAPPED_SWARM_FIRST ?? 1);
const traced = process.env.OVERLAPPED_SWARM_TRACE !== undefined;
/** Seeds of one test: a failure costs no more than the rest of its batch. */
const BATCH = 1000;
/** Seeds within which a planted bug is found. */
const MOST = 300;

async function playAll(seeds: Iterable<number>): Promise<void> {
  for (const seed of seeds) {
    const failure = await playShared(seed, traced ? { trace: console.log } : {});
    if (failure) throw new Error(`seed ${seed} failed; again: pnpm swarm --seed ${seed}`, { cause: failure.error });
    // The event loop has its turn: vitest hears from us.
    await new Promise(setImmediate);
  }
}

function* range(from: number, length: number): Generator<number> {
  for (let seed = from; seed < from + length; seed++) yield seed;
}

let silence: MockInstance;
beforeAll(() => {
  silence = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterAll(() => silence.mockRestore());

describe('the swarm of shared sessions', () => {
  const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, i) => first + i * BATCH);
  test.each(batches)('finds nothing from seed %i on', { timeout: 300_000 }, async (from) => {
    await playAll(range(from, Math.min(BATCH, first + count - from)));
  });
});

// A run that was asked for by hand is about its seeds alone.
describe.skipIf(process.env.OVERLAPPED_SWARM_FIRST !== undefined)('that swarm itself', () => {
  test.each(Object.keys(sharedPlants))(`finds, within ${MOST} seeds, %s`, async (name) => {
    for (const seed of range(1, MOST)) {
      const failure = await playShared(seed, { plant: sharedPlants[name] });
      if (failure) return;
    }
    expect.fail('it was not found');
  });

  test('the same seed gives the same run', async () => {
    for (const seed of range(1, 20)) {
      const [once, again]: [string[], string[]] = [[], []];
      for (const lines of [once, again])
        expect(await playShared(seed, { trace: (line) => lines.push(line) })).toBeNull();
      expect(once.length).toBeGreaterThan(0);
      expect(again).toEqual(once);
    }
  });
});
