// What the tests of job pools share: pools that are stopped when their test ends, and flags that jobs wait for.

import { onTestFinished } from 'vitest';
import { JobPool, type JobPoolOptions } from '../src/index.js';

export const jobs = new URL('./fixtures/jobs.js', import.meta.url);

/** The same, in threads that nobody sees sleep. */
export const unseen = new URL('./fixtures/unseen.js', import.meta.url);

/** A small pool; the end of the test stops it. */
export function makePool(options: Partial<JobPoolOptions> = {}): JobPool {
  const pool = new JobPool({ module: jobs, threads: 2, concurrency: 2, ...options });
  onTestFinished(() => pool.stop(100));
  return pool;
}

/** Two words in shared memory: how many jobs have started with them, and whether they may end. */
export class Flags {
  readonly words = new Int32Array(new SharedArrayBuffer(8));

  constructor() {
    onTestFinished(() => this.set());
  }

  set(): void {
    Atomics.store(this.words, 1, 1);
    Atomics.notify(this.words, 1);
  }

  /** So many jobs have started. */
  async started(count = 1): Promise<void> {
    await this.#reaches(0, count);
  }

  async isSet(): Promise<void> {
    await this.#reaches(1, 1);
  }

  get startedNow(): number {
    return Atomics.load(this.words, 0);
  }

  async #reaches(index: number, value: number): Promise<void> {
    // No event tells: a thread that blocks or computes sends no messages.
    for (const end = performance.now() + 20_000; Atomics.load(this.words, index) < value; ) {
      if (performance.now() > end) throw new Error(`waited in vain for word ${index} to be ${value}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** Lets the event loop turn. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
