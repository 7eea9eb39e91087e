// Jobs that wait for a slot, first in, first out. Each may leave from the middle. Both take the same time however many
// there are; a Set would not do, as taking its first member steps over the place of each one that was taken before.

import type { Job } from './job.js';

export class JobQueue {
  size = 0;
  #first: Job | null = null;
  #last: Job | null = null;

  push(job: Job): void {
    job.before = this.#last;
    if (this.#last === null) this.#first = job;
    else this.#last.after = job;
    this.#last = job;
    job.waits = true;
    this.size++;
  }

  /** The job that has waited longest; null for none. */
  shift(): Job | null {
    const job = this.#first;
    if (job !== null) this.remove(job);
    return job;
  }

  /** False when the job does not wait. */
  remove(job: Job): boolean {
    if (!job.waits) return false;
    const { before, after } = job;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    job.before = null;
    job.after = null;
    job.waits = false;
    this.size--;
    return true;
  }
}
