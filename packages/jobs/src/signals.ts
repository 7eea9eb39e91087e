// The jobs that each AbortSignal ends. One signal may end thousands of jobs: it has one listener, however many there are.

import type { Job } from './job.js';

interface Entry {
  readonly jobs: Set<Job>;
  readonly listener: () => void;
}

export class JobSignals {
  readonly #entries = new Map<AbortSignal, Entry>();
  readonly #onAbort: (job: Job) => void;

  constructor(onAbort: (job: Job) => void) {
    this.#onAbort = onAbort;
  }

  add(signal: AbortSignal, job: Job): void {
    let entry = this.#entries.get(signal);
    if (!entry) {
      const jobs = new Set<Job>();
      const listener = () => {
        for (const aborted of jobs) this.#onAbort(aborted);
      };
      signal.addEventListener('abort', listener, { once: true });
      entry = { jobs, listener };
      this.#entries.set(signal, entry);
    }
    entry.jobs.add(job);
  }

  remove(signal: AbortSignal, job: Job): void {
    const entry = this.#entries.get(signal);
    if (!entry?.jobs.delete(job) || entry.jobs.size > 0) return;
    this.#entries.delete(signal);
    signal.removeEventListener('abort', entry.listener);
  }
}
