// Makes a sample of two readings of a core's statistics: what is counted becomes a rate.

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { CoreStats, ServerStats } from '@overlapped/session';
import type { Sample, ThreadSample } from './sample.js';

/** Milliseconds between two looks at how late the event loop is. */
const RESOLUTION = 10;

export class Sampler {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION });
  #last: ServerStats;
  #at = performance.now();

  /** Begins to measure; the first sample is of what happens from now on. */
  constructor(stats: ServerStats) {
    this.#last = stats;
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
    const { events, receiveBuffers, sendBuffers, timers, bytesQueued } = total;
    const { refused, starved, skipped, lateTimers, droppedPackets } = total;
    return {
      at: Date.now() / 1000,
      loop: this.#lateness(),
      total: difference(last.total, total, seconds),
      threads: [
        difference(last.own, own, seconds),
        ...workers.map((worker, i) => difference(last.workers[i], worker, seconds)),
      ],
      pools: { events, receiveBuffers, sendBuffers, timers },
      bytesQueued,
      troubles: { refused, starved, skipped, lateTimers, droppedPackets },
    };
  }

  stop(): void {
    this.#delay.disable();
  }

  /** What is recorded is the time between two looks, in nanoseconds: the resolution, and the delay. */
  #lateness(): Sample['loop'] {
    const delay = this.#delay;
    const late = (nanoseconds: number) => (delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e6 - RESOLUTION));
    const loop = { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), max: late(delay.max) };
    delay.reset();
    return loop;
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
