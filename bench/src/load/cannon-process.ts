// The process of cannon.ts: one run of autocannon, and what it cost.

import assert from 'node:assert';
import autocannon from 'autocannon';

export interface Volley {
  readonly requests: number;
  readonly seconds: number;
  /** What autocannon itself used. */
  readonly cpuSeconds: number;
}

const [url, connections, seconds] = process.argv.slice(2);
const before = process.cpuUsage();
const started = performance.now();
const duration = Number(seconds);
const fire = () =>
  autocannon({ url: url!, connections: Number(connections), duration, sampleInt: Math.min(1, duration) * 1000 });
let result = await fire();
// A busy machine may need longer for the first answer, of which there is one to tell of.
while (result.requests.total === 0) result = await fire();
const { user, system } = process.cpuUsage(before);
assert(result.errors + result.non2xx + result.resets === 0, 'requests failed');
const volley: Volley = {
  requests: result.requests.total,
  seconds: (performance.now() - started) / 1000,
  cpuSeconds: (user + system) / 1e6,
};
process.send!(volley, () => process.disconnect());
