// Makes a sample of two readings of a core's statistics: a counter becomes a rate.

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { CoreStats, ServerStats } from '@overlapped/session';
import type { Jobs } from './feed.js';
import type { JobSample, Sample, ThreadSample } from './sample.js';

/** Milliseconds between two looks at how late the event loop is. */
const RESOLUTION = 10;

export class Sampler {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION });
  readonly #jobs: Jobs | undefined;
  #last: ServerStats;
  #lastJobs: Jobs['stats'] | undefined;
  #at = performance.now();
  #first = true;

  /** Begins to measure; the first sample covers the time from now on. */
  constructor(stats: ServerStats, jobs: Jobs | undefined) {
    this.#last = stats;
    this.#jobs = jobs;
    this.#lastJobs = jobs?.stats;
    this.#delay.enable();
  }

  /** Of the time since the last sample. */
  sample(stats: ServerStats): Sample {
    const now = performance.now();
    const seconds = (now - this.#at) / 1000;
    const last = this.#last;
    this.#at = now;
    this.#last = stats;
    const { total, own, workers } = stats;
    const { events, receiveBuffers, sendBuffers, timers, slots, bytesQueued } = total;
    const { refused, timedOut, failed, overflowed, droppedMessages } = total;
    const { starved, skipped, lateTimers, droppedPackets, blocked } = total;
    return {
      at: Date.now() / 1000,
      loop: this.#lateness(),
      total: difference(last.total, total, seconds),
      threads: [
        difference(last.own, own, seconds),
        ...workers.map((worker, i) => difference(last.workers[i], worker, seconds)),
      ],
      pools: { events, receiveBuffers, sendBuffers, timers, slots },
      bytesQueued,
      troubles: {
        refused,
        timedOut,
        failed,
        overflowed,
        droppedMessages,
        starved,
        skipped,
        lateTimers,
        droppedPackets,
        blocked,
      },
      jobs: this.#sampleJobs(seconds),
    };
  }

  stop(): void {
    this.#delay.disable();
  }

  #sampleJobs(seconds: number): JobSample | null {
    const [now, last] = [this.#jobs?.stats, this.#lastJobs];
    if (now === undefined || last === undefined) return null;
    this.#lastJobs = now;
    const { queued, running, finished, failed } = now;
    const done = (finished + failed - last.finished - last.failed) / seconds;
    // The counter of a thread that replaces a lost one begins at 0.
    const wakeUps = now.wakeUps.map((count, i) => Math.max(0, count - (last.wakeUps[i] ?? 0)) / seconds);
    return { queued, running, done, wakeUps };
  }

  /** The histogram has the time between two looks, in nanoseconds: the resolution, and the delay. */
  #lateness(): Sample['loop'] {
    const delay = this.#delay;
    const late = (nanoseconds: number) => (delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e6 - RESOLUTION));
    const loop = { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), max: late(delay.max) };
    delay.reset();
    const first = this.#first;
    this.#first = false;
    return first ? null : loop;
  }
}

/** The counters of a thread that replaces a lost one begin at 0. */
function difference(last: CoreStats | undefined, now: CoreStats, seconds: number): ThreadSample {
  const base = last === undefined || now.packets < last.packets ? undefined : last;
  const more = (name: keyof CoreStats) => now[name] - (base?.[name] ?? 0);
  const wakeUps = more('wakeUps');
  const perWakeUp = (amount: number) => (wakeUps === 0 ? null : amount / wakeUps);
  return {
    connections: now.sessions,
    packets: more('packets') / seconds,
    batch: perWakeUp(more('packets')),
    dispatch: perWakeUp(more('dispatchSeconds') * 1e6),
    received: more('bytesReceived') / seconds,
    sent: more('bytesSent') / seconds,
  };
}
