// The command: our pool of threads for jobs against piscina and tinypool.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { keepBusy, mixed, noop, openPools } from '../jobs/pools.js';
import { atLeast, type Figure, rate, report, type Targets } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '0.5' },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const OUTSTANDING = 1000;
/** Fewer, as the last of them are waited for: that many take 0.4 s of a blocked thread. */
const OUTSTANDING_MIXED = 250;

const all = (ratio: number): Targets => ({ piscina: atLeast(ratio), tinypool: atLeast(ratio) });
const cpu: Figure = { name: 'CPU us/job', of: (sample) => sample.cpu, targets: {} };

for (const threads of [undefined, Number(values.threads)]) {
  const pools = openPools(threads);
  console.log(
    `${threads === undefined ? 'as each is by default' : `${threads} threads each`}; ${rounds} rounds of ${seconds} s\n`,
  );
  const alone = await takeTurns(pools, rounds, keepBusy(1, seconds, noop));
  console.log(report('one at a time', alone, [rate('jobs', all(1.5)), cpu]));
  const many = await takeTurns(pools, rounds, keepBusy(OUTSTANDING, seconds, noop));
  console.log(report(`${OUTSTANDING} outstanding`, many, [rate('jobs', all(1.5)), cpu]));
  const blocking = await takeTurns(pools, rounds, keepBusy(OUTSTANDING_MIXED, seconds, mixed));
  console.log(`${report('30 % block for 5 ms', blocking, [rate('jobs', all(1)), cpu])}\n`);
  for (const pool of pools) await pool.stop();
}
