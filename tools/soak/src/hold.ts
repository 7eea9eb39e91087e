// A load that is held: so many connections at once, each with a message every second or so, none of which may be lost.

import { setTimeout as sleep } from 'node:timers/promises';
import { leftovers } from './level.js';
import { Client, Server, type ServerLaunch } from './processes.js';
import type { Sample } from './protocol.js';

export interface HoldOptions extends ServerLaunch {
  readonly connections: number;
  readonly seconds: number;
  readonly seed: number;
}

export interface HoldResult {
  readonly backend: string;
  /** While all connections stood. */
  readonly samples: readonly Sample[];
  readonly done: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly failures: readonly string[];
}

export async function hold({ connections, seconds, seed, ...launch }: HoldOptions): Promise<HoldResult> {
  const server = await Server.start(launch);
  const before = await server.untouched();
  const client = new Client({ ports: server.ports, seed, peers: connections }, 'holder');
  const samples: Sample[] = [];
  const failures: string[] = [];
  try {
    await server.until(({ sessions }) => sessions === connections);
    for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; ) {
      await sleep(1000);
      samples.push(await server.sample());
    }
    const least = Math.min(...samples.map(({ sessions }) => sessions));
    if (least < connections) failures.push(`only ${least} of ${connections} connections stood all the time`);
    await client.stop();
    const after = await server.until((sample) => leftovers(before, sample).length === 0).catch(() => server.sample());
    failures.push(...client.failures, ...leftovers(before, after));
    await server.stop();
  } catch (error) {
    failures.push((error as Error).message);
    await Promise.all([client.kill(), server.kill()]);
  }
  return { backend: server.greeting.backend, samples, ...client.tally, failures };
}
