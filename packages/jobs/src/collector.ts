// When the owner of a pool looks for finished jobs: when a thread wakes it, or by itself. Small jobs finish sooner than
// the owner could go to sleep and be woken, so it looks out for them for a moment, while its event loop turns. Where jobs
// take longer, that is in vain, and it hardly ever tries.

import type { JobTable } from './job-table.js';

// A test may put another clock in its place later, which would stop all jobs.
const { setImmediate } = globalThis;

/** Milliseconds that it looks out for the next finished job. */
const LOOK_OUT = 0.05;
/** After it looked out in vain it lets so many chances pass: each time twice as many, up to this. */
const MOST_SKIPPED = 64;

export class Collector {
  readonly #table: JobTable;
  /** Settles the jobs that have finished. False when there were none. */
  readonly #take: () => boolean;
  /** There are jobs to wait for. */
  readonly #expectsMore: () => boolean;
  /** Until when it looks out; 0 when it does not. */
  #until = 0;
  /** Chances that it will let pass, and how many it let pass the last time. */
  #toSkip = 0;
  #skipped = 0;

  constructor(table: JobTable, take: () => boolean, expectsMore: () => boolean) {
    this.#table = table;
    this.#take = take;
    this.#expectsMore = expectsMore;
  }

  /** A job was given to the threads. */
  expect(): void {
    if (this.#until > 0 || this.#toSkip-- > 0) return;
    this.#table.ownerLooks();
    this.#until = performance.now() + LOOK_OUT;
    setImmediate(this.#look);
  }

  /** A thread says that jobs have finished. */
  collect(): void {
    if (this.#until > 0) return;
    this.#rest();
    if (this.#expectsMore()) this.expect();
  }

  readonly #look = (): void => {
    const now = performance.now();
    if (this.#take()) {
      this.#skipped = 0;
      this.#until = now + LOOK_OUT;
    } else if (now >= this.#until) {
      this.#skipped = Math.min(MOST_SKIPPED, this.#skipped * 2 + 1);
      this.#toSkip = this.#skipped;
      this.#until = 0;
    }
    if (this.#until > 0 && this.#expectsMore()) {
      setImmediate(this.#look);
    } else {
      this.#until = 0;
      this.#rest();
    }
  };

  /** Takes all results; from then on the threads wake it. */
  #rest(): void {
    do this.#take();
    while (!this.#table.ownerRests());
  }
}
