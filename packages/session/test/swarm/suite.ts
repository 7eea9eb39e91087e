// The tests of a swarm: thousands of seeds, each a run of its own, and what finds out whether the swarm itself is of use.
// OVERLAPPED_SWARM_SEEDS says how many seeds, OVERLAPPED_SWARM_FIRST from which on; `pnpm swarm` sets them.

import { afterAll, beforeAll, describe, expect, type MockInstance, test, vi } from 'vitest';
import type { Failure } from './play.js';

interface Swarm<Plant> {
  /** Plays a seed. Resolves with the failure, if there is one. */
  play(seed: number, options?: { trace?: (line: string) => void; plant?: Plant }): Promise<Failure | null>;
  /** Planted bugs, by name. */
  readonly plants: Readonly<Record<string, Plant>>;
  /** Seeds of a run of tests: where machines test, and elsewhere. */
  readonly seeds: readonly [machines: number, others: number];
  /** Seeds within which a planted bug is found. */
  readonly most: number;
  /** Seeds that failed once. */
  readonly regressions?: Readonly<Record<string, readonly number[]>>;
}

// A seed is the same run on every platform, so that one of them, where machines test, may play most of them.
const many = process.platform === 'linux' && process.env.CI !== undefined;
const first = Number(process.env.OVERLAPPED_SWARM_FIRST ?? 1);
const traced = process.env.OVERLAPPED_SWARM_TRACE !== undefined;
/** Seeds of one test: a failure costs no more than the rest of its batch. */
const BATCH = 1000;

export function describeSwarm<Plant>(name: string, swarm: Swarm<Plant>): void {
  const { plants, most, regressions } = swarm;
  const count = Number(process.env.OVERLAPPED_SWARM_SEEDS ?? swarm.seeds[many ? 0 : 1]);

  /** Plays seeds until one fails, which it throws with the command that plays it again. */
  async function playAll(seeds: Iterable<number>): Promise<void> {
    for (const seed of seeds) {
      const failure = await swarm.play(seed, traced ? { trace: console.log } : {});
      if (failure) throw new Error(`seed ${seed} failed; again: pnpm swarm --seed ${seed}`, { cause: failure.error });
      // The event loop has its turn: vitest hears from us.
      await new Promise(setImmediate);
    }
  }

  // Thousands of handlers fail as planned, and a warning tells of each.
  let silence: MockInstance;
  beforeAll(() => {
    silence = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  });
  afterAll(() => silence.mockRestore());

  describe(name, () => {
    const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, i) => first + i * BATCH);
    test.each(batches)('finds nothing from seed %i on', { timeout: 300_000 }, async (from) => {
      await playAll(range(from, Math.min(BATCH, first + count - from)));
    });
  });

  // A run that was asked for by hand is about its seeds alone.
  describe.skipIf(process.env.OVERLAPPED_SWARM_FIRST !== undefined)(`${name} itself`, () => {
    if (regressions !== undefined) {
      test('what failed once does not fail again', async () => {
        await playAll(Object.values(regressions).flat());
      });
    }

    test.each(Object.keys(plants))(`finds, within ${most} seeds, %s`, async (plant) => {
      for (const seed of range(1, most)) {
        const failure = await swarm.play(seed, { plant: plants[plant]! });
        if (failure) return;
      }
      expect.fail('it was not found');
    });

    test('the same seed gives the same run', async () => {
      for (const seed of range(1, 20)) {
        const [once, again]: [string[], string[]] = [[], []];
        for (const lines of [once, again]) {
          expect(await swarm.play(seed, { trace: (line) => lines.push(line) })).toBeNull();
        }
        expect(once.length).toBeGreaterThan(0);
        expect(again).toEqual(once);
      }
    });
  });
}

function* range(from: number, length: number): Generator<number> {
  for (let seed = from; seed < from + length; seed++) yield seed;
}
