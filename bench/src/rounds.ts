// Fair turns: in each round every server is measured once, and the order is turned round each time, so that what the
// machine does meanwhile falls on both alike.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from './server.js';

/** One measurement of one server, of messages or of connections. */
export interface Sample {
  /** Units a second. */
  readonly rate: number;
  /** Microseconds of the server's CPU time for each unit. */
  readonly cpu: number;
  /** How busy the client was, of one core; undefined where it only waits. */
  readonly clientBusy?: number;
}

/** The samples of one server, by round. */
export interface Series {
  readonly by: string;
  readonly samples: Sample[];
}

/** Milliseconds for the connections of one measurement to be closed before the next. */
const SETTLE = 200;

/** Measures each server once to warm it up, and then once a round. */
export async function takeTurns(
  servers: readonly Server[],
  rounds: number,
  measure: (server: Server) => Promise<Sample>,
): Promise<Series[]> {
  const series = servers.map(({ by }) => ({ by, samples: [] as Sample[] }));
  for (let round = 0; round <= rounds; round++) {
    const order = [...servers.keys()];
    if (round % 2 === 1) order.reverse();
    for (const i of order) {
      const sample = await measure(servers[i]!);
      if (round > 0) series[i]!.samples.push(sample);
      await sleep(SETTLE);
    }
  }
  return series;
}

/** The middle of the values, and their ends. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}
