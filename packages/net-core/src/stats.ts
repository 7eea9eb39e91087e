// The statistics of a core, in shared memory: the core's own thread writes them, and any thread reads them at any time, also
// while the writer is busy or has ended.

import assert from 'node:assert';
import type { CoreStats } from './core-stats.js';

/** Room for statistics. Behind them: how often the core's pump has turned, and 1 while its thread sleeps for want of work. */
const MAX_STATS = 62;
const TURNS = MAX_STATS;
const ASLEEP = TURNS + 1;

/** The names of all statistics: each one's index is that of its value. */
const names: string[] = [];
/** The names of levels: current values. All others are counters since the core opened. */
const levels = new Set<string>();

/**
 * Adds statistics to every core. Returns the index of each in `StatsBlock.values`. Threads read each other's values, so every
 * thread must register the same names in the same order: when a package is loaded.
 */
export function registerStats<Level extends string, Counter extends string>(
  newLevels: readonly Level[],
  counters: readonly Counter[],
): Readonly<Record<Level | Counter, number>> {
  for (const name of newLevels) levels.add(name);
  const all = [...newLevels, ...counters];
  for (const name of all) if (!names.includes(name)) names.push(name);
  assert(names.length <= MAX_STATS, 'too many statistics');
  return Object.fromEntries(all.map((name) => [name, names.indexOf(name)])) as Record<Level | Counter, number>;
}

/** The index of each of a core's own statistics in `StatsBlock.values`. */
export const Stat = registerStats(
  ['sessions', 'events', 'receiveBuffers', 'sendBuffers', 'timers', 'slots'],
  ['packets', 'wakeUps', 'dispatchSeconds', 'lateTimers', 'droppedPackets', 'starved', 'skipped', 'lost', 'blocked'],
);

/** The statistics of one core, in shared memory. */
export class StatsBlock {
  readonly memory: SharedArrayBuffer;
  /** Doubles, one for each statistic. Only the core's thread writes. */
  readonly values: Float64Array;

  constructor(memory = new SharedArrayBuffer((ASLEEP + 1) * Float64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.values = new Float64Array(memory);
  }

  /** The pump has turned. */
  turn(): void {
    this.values[TURNS]!++;
  }

  /** The thread is about to sleep in the kernel, or has come back. */
  sleeps(asleep: boolean): void {
    this.values[ASLEEP] = asleep ? 1 : 0;
  }

  get asleep(): boolean {
    return this.values[ASLEEP] === 1;
  }

  /** How often the pump has turned. */
  get turns(): number {
    return this.values[TURNS]!;
  }

  read(): CoreStats {
    return collect((_, index) => this.values[index]!);
  }
}

/** The sums. */
export function sum(all: readonly Partial<CoreStats>[]): CoreStats {
  // One that was read before a name was registered lacks it.
  return collect((name) => all.reduce((total, stats) => total + (stats[name] ?? 0), 0));
}

/** The statistics that a core leaves when it has ended: its counters. */
export function countersOf(stats: CoreStats): CoreStats {
  return collect((name) => (levels.has(name) ? 0 : stats[name]));
}

function collect(value: (name: keyof CoreStats, index: number) => number): CoreStats {
  return Object.fromEntries(names.map((name, i) => [name, value(name as keyof CoreStats, i)])) as unknown as CoreStats;
}
