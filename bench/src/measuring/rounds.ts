// Fair turns: in each round everyone is measured once, and the order is turned round each time, so that what the
// machine does meanwhile falls on all alike.

import { setTimeout as sleep } from 'node:timers/promises';

/** One measurement of one contender, of messages, connections or jobs. */
export interface Sample {
  /** Units a second. */
  readonly rate: number;
  /** Microseconds of CPU time for each unit. */
  readonly cpu: number;
  /** How busy the client was, of one core; undefined where it only waits. */
  readonly clientBusy?: number;
  /** Microseconds that half of the round trips, and 99 of 100, took at most, where they are measured. */
  readonly p50?: number;
  readonly p99?: number;
  /** How often a thread of the server gave up its core for each unit, where it is measured. */
  readonly switches?: number;
}

/** The samples of one contender, by round. */
export interface Series {
  readonly by: string;
  readonly samples: Sample[];
}

/** Milliseconds for one measurement to be over, its connections closed, before the next. */
const SETTLE = 200;

/** Measures each contender once to warm it up, and then once a round, with a pause of `settle` milliseconds after each. */
export async function takeTurns<T extends { readonly by: string }>(
  contenders: readonly T[],
  rounds: number,
  measure: (contender: T) => Promise<Sample>,
  settle = SETTLE,
): Promise<Series[]> {
  const series = contenders.map(({ by }) => ({ by, samples: [] as Sample[] }));
  for (let round = 0; round <= rounds; round++) {
    const order = [...contenders.keys()];
    if (round % 2 === 1) order.reverse();
    for (const i of order) {
      const sample = await measure(contenders[i]!);
      if (round > 0) series[i]!.samples.push(sample);
      await sleep(settle);
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
