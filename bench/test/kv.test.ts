// The key-value servers under measurement, for a moment: each answers redis-benchmark, and its CPU time is known. What is
// missing here is skipped, and its title says why; where everything is required, that fails.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { underBenchmark, whyNoBenchmark } from '../src/load/redis-benchmark.js';
import { kv, kvOnNet, redis } from '../src/measured/kv-servers.js';
import { RivalServer, whyNot } from '../src/measured/rivals.js';
import { withServers } from '../src/measured/server.js';

const everything = process.env.OVERLAPPED_REQUIRE === 'all' && process.platform === 'linux';
const noBenchmark = whyNoBenchmark();
const rivals = await Promise.all(
  [kv, kvOnNet, await redis()].map(async (rival) => ({ rival, reason: noBenchmark ?? (await whyNot(rival)) })),
);

describe.each(rivals)('$rival.by', ({ rival, reason }) => {
  test.skipIf(reason !== undefined && !everything)(`serves${reason ? ` (${reason})` : ''}`, async () => {
    await withServers([() => RivalServer.start(rival)], async ([server]) => {
      const benchmark = { connections: 5, pipeline: 4, requests: 1000, threads: 1 };
      const { rate, cpu, clientBusy } = await underBenchmark(benchmark)(server!);
      expect([rate > 0, cpu > 0, clientBusy! >= 0]).toEqual([true, true, true]);
      await server!.stop();
      await expect(server!.cpu()).rejects.toThrow();
    });
  });
});

test('the one on node:net ends when its stdin does', async () => {
  const [program, ...args] = kvOnNet.command();
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  await once(createInterface(child.stdout), 'line');
  child.stdin.end();
  expect(await exit).toEqual([0, null]);
});
