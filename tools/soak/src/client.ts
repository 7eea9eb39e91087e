// Clients of a soak, in a process of their own: each does one thing after the other, at random. What goes wrong is told to
// the parent, which may kill this process or suspend it at any time.

import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientOptions, FromClient } from './protocol.js';
import { Random } from './random.js';
import { acts } from './traffic.js';

const { ports, seed, peers }: ClientOptions = JSON.parse(process.argv[2]!);
/** Milliseconds that one connection may take. */
const PATIENCE = 30_000;
const names = Object.keys(acts);
const done: Record<string, number> = {};
let bytes = 0;
let stopping = false;

function tell(what: FromClient): void {
  if (process.connected) process.send!(what);
}

async function actOnce(random: Random): Promise<void> {
  const name = random.pick(names);
  const tooLong = new AbortController();
  const late = sleep(PATIENCE, undefined, { signal: tooLong.signal }).then((): number => {
    throw new Error(`not done after ${PATIENCE} ms`);
  });
  try {
    const compared = await Promise.race([acts[name]!(ports, random), late]);
    bytes += compared;
    done[name] = (done[name] ?? 0) + 1;
  } catch (error) {
    tell({ failure: `${name}: ${(error as Error).message}` });
  } finally {
    late.catch(() => {});
    tooLong.abort();
  }
}

async function live(index: number): Promise<void> {
  const random = new Random(seed * 1000 + index);
  while (!stopping) {
    await actOnce(random);
    await sleep(random.between(0, 50));
  }
}

process.on('SIGINT', () => {});
process.on('message', () => {
  stopping = true;
});
process.on('disconnect', () => process.exit());
await Promise.all(Array.from({ length: peers }, (_, index) => live(index)));
process.send!({ tally: { done, bytes } } satisfies FromClient, () => process.disconnect());
