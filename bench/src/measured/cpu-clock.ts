// The CPU time of a process that says nothing of it, from what the scheduler has counted for each of its threads.

import { readdirSync, readFileSync } from 'node:fs';

export class CpuClock {
  readonly #pid: number;
  /** Microseconds of each thread, as they were last read. */
  #threads = new Map<string, number>();
  #total = 0;

  constructor(pid: number) {
    this.#pid = pid;
  }

  /**
   * Microseconds up to now. What a thread used after the last reading and before its end is lost. Throws when the process
   * is gone.
   */
  read(): number {
    const threads = new Map(readdirSync(`/proc/${this.#pid}/task`).map((id) => [id, this.#used(id)]));
    for (const [id, used] of threads) this.#total += used - (this.#threads.get(id) ?? 0);
    this.#threads = threads;
    return this.#total;
  }

  #used(id: string): number {
    try {
      const [nanoseconds] = readFileSync(`/proc/${this.#pid}/task/${id}/schedstat`, 'latin1').split(' ');
      return Number(nanoseconds) / 1000;
    } catch (error) {
      // A thread may end while we read. The main thread stays as long as the process.
      if (id === String(this.#pid)) throw error;
      return this.#threads.get(id) ?? 0;
    }
  }
}
