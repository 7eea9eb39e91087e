// The command: `soak --minutes 10` plays mixed traffic, `soak --hold 10000` holds so many connections for a minute; with --shared
// the echo has shared sessions. Exits with 1 and says what was wrong.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hold } from './hold.js';
import { draw, median } from './level.js';
import type { Sample } from './protocol.js';
import { soak } from './soak.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    hold: { type: 'string' },
    backend: { type: 'string' },
    dedicated: { type: 'boolean', default: false },
    shared: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    out: { type: 'string', default: fileURLToPath(new URL('../out', import.meta.url)) },
  },
});
const seconds = Number(values.minutes) * 60;
const seed = Number(values.seed);
const { out, backend, dedicated, shared } = values;
const launch = { dedicated, shared, ...(backend !== undefined && { backend }) };

function summary(samples: readonly Sample[]): string {
  const line = (name: keyof Sample, unit = 1) => {
    const all = samples.map((sample) => sample[name] / unit);
    const [middle, most] = [median(all), Math.max(...all)].map((value) => value.toFixed(1));
    return `  ${name.padEnd(15)} ${middle} in the middle, ${most} at most`;
  };
  const MB = 2 ** 20;
  const memory = [line('rss', MB), line('heap', MB), line('external', MB), line('bytesQueued', MB)];
  const slots = (['descriptors', 'sessions', 'events', 'receiveBuffers', 'sendBuffers'] as const).map((name) =>
    line(name),
  );
  return [...memory, ...slots, line('delayP99'), line('delayMax')].join('\n');
}

const {
  failures,
  samples,
  backend: served,
  ...rest
} = values.hold === undefined
  ? await soak({ ...launch, seconds, seed, interval: Math.min(1000, seconds * 40) })
  : await hold({ ...launch, seconds, seed, connections: Number(values.hold) });

mkdirSync(out, { recursive: true });
const name = join(out, values.hold === undefined ? 'soak' : 'hold');
writeFileSync(`${name}.jsonl`, samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''));
writeFileSync(`${name}.svg`, draw(samples));
console.log(`${served}, seed ${seed}: ${JSON.stringify(rest)}`);
console.log(`memory in MiB, delays of the event loop in ms (${samples.length} samples in ${name}.jsonl and .svg):`);
console.log(summary(samples));
for (const failure of failures) console.error(`soak: ${failure}`);
process.exitCode = failures.length > 0 ? 1 : 0;
