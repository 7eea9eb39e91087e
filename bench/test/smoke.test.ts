// Every measurement once, with tiny numbers, so that the bench keeps working. Nothing here judges how fast anything is.

import { beforeAll, describe, expect, test } from 'vitest';
import { whyNoLoad } from '../src/load.js';
import { burst, drain, idleMemory, underLoad } from '../src/measures.js';
import { cpu, rate, report } from '../src/report.js';
import { type Series, spread, takeTurns } from '../src/rounds.js';
import { withRivals } from '../src/server.js';

const everything = process.env.OVERLAPPED_REQUIRE === 'all';
const reason = whyNoLoad();

test('the middle of an odd and of an even number of values', () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, least: 1, most: 3 });
  expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, least: 1, most: 4 });
});

test('a report has the medians, the median of the ratios, and the target', () => {
  const ours: Series = { by: 'ours', samples: [30, 20, 10].map((rate) => ({ rate, cpu: 1, clientBusy: 0.5 })) };
  const theirs: Series = { by: 'theirs', samples: [10, 10, 10].map((rate) => ({ rate, cpu: 2, clientBusy: 0.25 })) };
  const figures = [rate('messages', { kind: '>=', ratio: 2.5 }), cpu('message', { kind: '<=', ratio: 0.5 })];
  const words = report('echo', [ours, theirs], figures)
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '));
  expect(words).toEqual([
    'echo ours theirs',
    'messages/s 20 10 x 2.00 (1.00 to 3.00) target >= 2.5: NOT met',
    'server CPU us/message 1 2 x 0.50 (0.50 to 0.50) target <= 0.5: met',
    'client busy 50 % 25 %',
  ]);
});

// Where there is no load generator the reason is in the title; where everything is required, that fails.
describe.skipIf(reason !== undefined && !everything)(`the measurements${reason ? ` (${reason})` : ''}`, () => {
  beforeAll(() => {
    expect(reason).toBeUndefined();
  });

  test('all of an echo server', { timeout: 60_000 }, async () => {
    await withRivals('echo', async (servers) => {
      expect(servers.map(({ by }) => by)).toEqual([everything ? 'io_uring' : expect.any(String), 'node:net']);
      const measures = [underLoad('echo', 5, 0.1), underLoad('churn', 5, 0.1), burst(20), drain(20)];
      for (const measure of measures) expectSamples(await takeTurns(servers, 1, measure));
      for (const server of servers) expect(await idleMemory(server, 50)).toEqual(expect.any(Number));
    });
  });

  test('all of a server that ends connections', { timeout: 60_000 }, async () => {
    await withRivals('knock', async (servers) => {
      expectSamples(await takeTurns(servers, 1, underLoad('knock', 5, 0.1)));
    });
  });

  test('a server that is gone is noticed', { timeout: 30_000 }, async () => {
    await withRivals('echo', async ([server]) => {
      const asked = server!.connected(1);
      const gone = expect(asked).rejects.toThrow('a server ended');
      await server!.stop();
      await gone;
      await expect(underLoad('echo', 1, 0.1)(server!)).rejects.toThrow();
    });
  });
});

function expectSamples(series: Series[]): void {
  for (const { samples } of series) {
    expect(samples).toHaveLength(1);
    for (const { rate, cpu } of samples) expect([rate > 0, cpu >= 0]).toEqual([true, true]);
  }
}
