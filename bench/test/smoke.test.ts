// Every measurement of sessions once, with tiny numbers, so that the bench keeps working. Nothing here judges how fast
// anything is.

import { beforeAll, describe, expect, test } from 'vitest';
import { whyNoLoad } from '../src/load/load.js';
import { whyNoTls } from '../src/load/tls.js';
import { Agent, agents } from '../src/measured/agent.js';
import { epollTls, RivalServer } from '../src/measured/rivals.js';
import { type Server, withServers } from '../src/measured/server.js';
import {
  asking,
  besideSleepers,
  burst,
  drain,
  idleMemory,
  idleTlsMemory,
  ofSize,
  overTls,
  underLoad,
} from '../src/measuring/measures.js';
import { type Sample, type Series, spread, takeTurns } from '../src/measuring/rounds.js';
import { COMPUTE, PAUSE } from '../src/servers/asked.js';
import { expectEcho } from './support.js';

const everything = process.env.OVERLAPPED_REQUIRE === 'all';
const reason = whyNoLoad();

test('the middle of an odd and of an even number of values', () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, least: 1, most: 3 });
  expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, least: 1, most: 4 });
});

// Where there is no load generator the reason is in the title; where everything is required, that fails.
describe.skipIf(reason !== undefined && !everything)(`the measurements${reason ? ` (${reason})` : ''}`, () => {
  beforeAll(() => {
    expect(reason).toBeUndefined();
  });

  test('all of an echo server', { timeout: 180_000 }, async () => {
    await withServers(agents(['overlapped', 'node-net'], 'echo'), async (servers) => {
      expect(servers.map(({ by }) => by)).toEqual([everything ? 'io_uring' : expect.any(String), 'node:net']);
      for (const mode of ['echo', 'churn'] as const) await measured(servers, (seconds) => underLoad(mode, 5, seconds));
      for (const measure of [burst(20), drain(20)]) await measured(servers, () => measure);
      for (const server of servers) expect(await idleMemory(server, 50)).toEqual(expect.any(Number));
    });
  });

  // Elsewhere there is no shared port, and no thread that accepts.
  test.runIf(process.platform === 'linux')('idle shared sessions', { timeout: 180_000 }, async () => {
    await withServers([() => Agent.start('shared', 'asked', 2)], async ([server]) => {
      expect(await idleMemory(server!, 50)).toEqual(expect.any(Number));
    });
  });

  for (const mode of ['echo', 'pour', 'sink'] as const) {
    test(`large messages: ${mode}`, { timeout: 180_000 }, async () => {
      await withServers(agents(['overlapped', 'duplex', 'dedicated', 'node-net'], mode), async (servers) => {
        const series = await measured(servers, (seconds) => ofSize(mode, 2, 200_000, seconds));
        if (mode === 'echo')
          for (const { p50, p99 } of series.flatMap(({ samples }) => samples))
            expect(p99!).toBeGreaterThanOrEqual(p50!);
        if (mode === 'echo') for (const { port } of servers) await expectEcho(port);
      });
    });
  }

  test('all of a server that ends connections', { timeout: 180_000 }, async () => {
    await withServers(agents(['overlapped', 'node-net'], 'knock'), async (servers) => {
      await measured(servers, (seconds) => underLoad('knock', 5, seconds));
    });
  });

  test('broadcasts', { timeout: 180_000 }, async () => {
    await withServers(agents(['overlapped', 'node-net'], 'crowd'), async (servers) => {
      for (const mode of ['crowd', 'choir'] as const)
        await measured(servers, (seconds) => underLoad(mode, 20, seconds));
    });
  });

  test('shared sessions', { timeout: 180_000 }, async () => {
    const starts = [() => Agent.start('shared', 'asked', 2), () => Agent.start('node-net', 'asked')];
    await withServers(starts, async (servers) => {
      expect(servers.map(({ by }) => by)).toEqual([expect.stringMatching(/^shared, 2 of [04]$/), 'node:net']);
      for (const { port } of servers) await expectEcho(port);
      const [beside] = await measured(servers, (seconds) => besideSleepers(5, 1, seconds));
      const { p50, p99 } = beside!.samples[0]!;
      expect(p99!).toBeGreaterThanOrEqual(p50!);
      for (const letter of [COMPUTE, PAUSE]) await measured(servers, (seconds) => asking(letter, 5, seconds));
    });
  });

  test('all of a datagram server', { timeout: 180_000 }, async () => {
    await withServers(agents(['datagrams', 'node-dgram'], 'echo'), async (servers) => {
      await measured(servers, (seconds) => underLoad('datagrams', 5, seconds));
    });
  });

  test('a server that is gone is noticed', { timeout: 30_000 }, async () => {
    await withServers(agents(['overlapped'], 'echo'), async ([server]) => {
      const asked = server!.connected(1);
      const gone = expect(asked).rejects.toThrow('a server ended');
      await server!.stop();
      await gone;
      await expect(underLoad('echo', 1, 0.1)(server!)).rejects.toThrow();
    });
  });
});

const noTls = whyNoTls();
// As above: the reason is in the title.
describe.skipIf(noTls !== undefined && !everything)(`TLS${noTls ? ` (${noTls})` : ''}`, () => {
  test('all of a TLS server', { timeout: 180_000 }, async () => {
    expect(noTls).toBeUndefined();
    const rival = await epollTls();
    const starts: (() => Promise<Server>)[] = [
      () => RivalServer.start(rival),
      ...agents(['tls-sessions', 'tls-net'], 'echo'),
    ];
    await withServers(starts, async (servers) => {
      const ours = everything ? 'io_uring' : expect.any(String);
      expect(servers.map(({ by }) => by)).toEqual(['C, OpenSSL', ours, 'node:tls']);
      for (const bytes of [1, 64, 100_000]) await measured(servers, (seconds) => overTls('echo', 5, bytes, seconds));
      for (const mode of ['new', 'resume'] as const) {
        await measured(servers, (seconds) => overTls(mode, 5, 64, seconds));
      }
      for (const server of servers) expect(await idleTlsMemory(server, 50)).toEqual(expect.any(Number));
    });
  });
});

/** Measures each server once. If the machine is so busy that one answers nothing in a short time, all have a longer one. */
async function measured<T extends { readonly by: string }>(
  servers: readonly T[],
  measure: (seconds: number) => (server: T) => Promise<Sample>,
): Promise<Series[]> {
  for (let seconds = 0.1; ; seconds *= 5) {
    const series = await takeTurns(servers, 1, measure(seconds), 0);
    if (seconds < 10 && series.some(({ samples }) => samples[0]?.rate === 0)) continue;
    for (const { samples } of series) {
      expect(samples).toHaveLength(1);
      for (const { rate, cpu } of samples) expect([rate > 0, cpu >= 0]).toEqual([true, true]);
    }
    return series;
  }
}
