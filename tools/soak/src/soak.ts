// One soak: a server, clients that behave, clients that are killed and one that is suspended, and a sample in every interval.

import { setTimeout as sleep } from 'node:timers/promises';
import { growth, leftovers } from './level.js';
import { Client, Server, type ServerLaunch } from './processes.js';
import type { Sample } from './protocol.js';
import { Random } from './random.js';

export interface SoakOptions extends ServerLaunch {
  readonly seconds: number;
  readonly seed: number;
  /** Milliseconds from one sample to the next. */
  readonly interval: number;
}

export interface SoakResult {
  readonly backend: string;
  readonly samples: readonly Sample[];
  readonly done: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly killed: number;
  readonly suspended: number;
  /** What was wrong; nothing when all was well. */
  readonly failures: readonly string[];
}

const PEERS = { steady: 40, victim: 20, sleeper: 20 };
/** Seconds that a soak lasts whose samples tell what grows. All that a shorter one sees is a server that warms up. */
const WARM = 30;
/** Failures that are told; the others will be of the same kind. */
const MOST_FAILURES = 20;

export async function soak({ seconds, seed, interval, ...launch }: SoakOptions): Promise<SoakResult> {
  const server = await Server.start(launch);
  const failures: string[] = [];
  const random = new Random(seed);
  const { ports } = server;
  const before = await server.untouched();
  const steady = new Client({ ports, seed, peers: PEERS.steady });
  const sleeper = new Client({ ports, seed: seed + 1, peers: PEERS.sleeper });
  const samples: Sample[] = [];
  let deadline = Date.now() + seconds * 1000;
  /** Repeats something until the time is up; says how often. */
  const repeat = async (act: (left: number) => Promise<void>) => {
    let count = 0;
    for (let left = deadline - Date.now(); left > 0; left = deadline - Date.now()) {
      await act(left);
      count++;
    }
    return count;
  };
  const nap = (least: number, most: number, left: number) => sleep(Math.min(left, random.between(least, most)));

  const sampling = repeat(async (left) => {
    samples.push(await server.sample());
    await sleep(Math.min(left, interval));
  });
  const killing = repeat(async (left) => {
    const victim = new Client({ ports, seed: random.between(0, 2 ** 20), peers: PEERS.victim });
    await nap(500, 3000, left);
    await victim.kill();
    failures.push(...victim.failures);
  });
  const suspending = repeat(async (left) => {
    await nap(200, 2000, left);
    sleeper.process.kill('SIGSTOP');
    await sleep(random.between(50, 1000));
    sleeper.process.kill('SIGCONT');
  });

  try {
    const [, killed, suspended] = await Promise.all([sampling, killing, suspending]);
    await Promise.all([steady.stop(), sleeper.stop()]);
    failures.push(...steady.failures, ...sleeper.failures, ...(seconds < WARM ? [] : growth(samples)));
    // Sessions of peers that were killed end when their resets have come.
    const after = await server.until((sample) => leftovers(before, sample).length === 0).catch(() => server.sample());
    failures.push(...leftovers(before, after));
    await server.stop();
    return result(killed, suspended);
  } catch (error) {
    failures.push((error as Error).message);
    deadline = 0;
    await Promise.allSettled([killing, suspending, server.kill(), steady.kill(), sleeper.kill()]);
    return result(0, 0);
  }

  function result(killed: number, suspended: number): SoakResult {
    const done = { ...steady.tally.done };
    for (const [name, count] of Object.entries(sleeper.tally.done)) done[name] = (done[name] ?? 0) + count;
    const bytes = steady.tally.bytes + sleeper.tally.bytes;
    const { backend } = server.greeting;
    return { backend, samples, done, bytes, killed, suspended, failures: failures.slice(0, MOST_FAILURES) };
  }
}
