// The statistics of a core, in shared memory: its own thread writes them, any thread reads them at any time, also while the
// writer is busy or has ended.

/** Levels: what there is now. Everything else is a counter since the core opened. */
const LEVELS = ['sessions', 'bytesQueued', 'events', 'receiveBuffers', 'sendBuffers', 'timers'] as const;
const COUNTERS = [
  'accepted',
  'ended',
  'refused',
  'refusedFull',
  'refusedRate',
  'refusedDenied',
  'refusedAddress',
  'refusedProxy',
  'timedOut',
  'failed',
  'overflowed',
  'droppedMessages',
  'packets',
  'wakeUps',
  'dispatchSeconds',
  'bytesReceived',
  'bytesSent',
  'lateTimers',
  'droppedPackets',
  'starved',
  'skipped',
  'lost',
] as const;

/** One set of statistics: levels first, then counters since the core opened. `packets / wakeUps` is the size of a batch. */
export interface CoreStats {
  /** Sessions that are open. */
  readonly sessions: number;
  /** Bytes that wait to be sent, or are being sent. */
  readonly bytesQueued: number;
  /** Events that are out of their pool: operations in flight, accepts among them. */
  readonly events: number;
  /** Receive buffers that hold what has come, or what is sent back from there. */
  readonly receiveBuffers: number;
  /** Send buffers that are out of their pool, and what sends took in their place when all were out. */
  readonly sendBuffers: number;
  /** Timers that are set. */
  readonly timers: number;
  /** Connections that became sessions. */
  readonly accepted: number;
  /** Sessions that are over. */
  readonly ended: number;
  /** Connections that were reset before they became sessions, for any of the next five reasons. */
  readonly refused: number;
  /** There were as many sessions already as the core, or the listener, may have. */
  readonly refusedFull: number;
  /** More came than the listener takes in a second. */
  readonly refusedRate: number;
  /** The address is on the deny list, or not on the allow list. */
  readonly refusedDenied: number;
  /** The address has as many sessions already as one may have. */
  readonly refusedAddress: number;
  /** No PROXY header came that could be trusted, was well-formed, and in time. */
  readonly refusedProxy: number;
  /** Sessions that a timeout closed. */
  readonly timedOut: number;
  /** Handlers of sessions and datagram sessions that threw, or whose promises rejected. */
  readonly failed: number;
  /** Sessions that were closed as too many bytes waited to be sent. */
  readonly overflowed: number;
  /** Messages that were dropped for that. */
  readonly droppedMessages: number;
  /** Completion packets. */
  readonly packets: number;
  /** Times that the pump found some. */
  readonly wakeUps: number;
  /** Seconds spent in handing packets to their owners. `dispatchSeconds / wakeUps`: how long the last of a batch waits. */
  readonly dispatchSeconds: number;
  /** Bytes that sessions have been handed. */
  readonly bytesReceived: number;
  /** Bytes that the kernel has taken to send. */
  readonly bytesSent: number;
  /** Timers that ran more than 3 ms after they were due. */
  readonly lateTimers: number;
  /** Late packets, for slots that served another by then, which were dropped. */
  readonly droppedPackets: number;
  /** Times that data was there and no receive buffer was free. */
  readonly starved: number;
  /** Times that a broadcast passed over a session whose queue was full, or a worker thread that does not run. */
  readonly skipped: number;
  /** Sessions that were lost with their worker thread: they had no onDisconnected. */
  readonly lost: number;
}

/** What `core.stats()` gives. */
export interface ServerStats {
  /** The sums, with the counters of threads that were lost. */
  readonly total: CoreStats;
  /** Of the core's own thread. */
  readonly own: CoreStats;
  /** Of each worker thread. */
  readonly workers: readonly CoreStats[];
  /** Worker threads that do not run at the moment: a handler has not returned for seconds. */
  readonly hungWorkers: number;
}

const NAMES: readonly (keyof CoreStats)[] = [...LEVELS, ...COUNTERS];

/** Where a statistic lies in `StatsBlock.values`. */
export const Stat = Object.fromEntries(NAMES.map((name, index) => [name, index])) as Readonly<
  Record<keyof CoreStats, number>
>;

/** Behind the statistics: how often the core's pump has turned, and 1 while its thread sleeps for want of work. */
const TURNS = NAMES.length;
const ASLEEP = TURNS + 1;

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
    return collect((name) => this.values[Stat[name]]!);
  }
}

/** The sums. */
export function sum(all: readonly CoreStats[]): CoreStats {
  return collect((name) => all.reduce((total, stats) => total + stats[name], 0));
}

/** What is left of the statistics of a core that is no more: its counters. */
export function countersOf(stats: CoreStats): CoreStats {
  const levels: readonly string[] = LEVELS;
  return collect((name) => (levels.includes(name) ? 0 : stats[name]));
}

function collect(value: (name: keyof CoreStats) => number): CoreStats {
  return Object.fromEntries(NAMES.map((name) => [name, value(name)])) as unknown as CoreStats;
}
