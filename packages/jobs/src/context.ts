// The functions that a job's module may call on the thread that runs it.

import type { TransferList } from './transfer-list.js';

/** The job that this thread runs. There is one at most. */
export interface CurrentJob {
  isAborted(): boolean;
  blocking<T>(fn: () => T): T;
}

let current: CurrentJob | undefined;
let controller: AbortController | undefined;

/** From now on this job is the current one; undefined when it has ended. */
export function setCurrentJob(job: CurrentJob | undefined): void {
  current = job;
  controller = undefined;
}

/** The current job was aborted. */
export function abortCurrentJob(): void {
  controller?.abort();
}

/**
 * The AbortSignal of the job that calls this. Each call looks whether the job has been aborted meanwhile, so one that
 * computes asks from time to time: `jobSignal().throwIfAborted()`. Throws outside of a job.
 */
export function jobSignal(): AbortSignal {
  if (!current) throw new Error('Cannot get the signal of a job: no job is running here');
  controller ??= new AbortController();
  if (!controller.signal.aborted && current.isAborted()) controller.abort();
  return controller.signal;
}

/**
 * Runs `fn`, which is about to block, such as in Atomics.wait(): meanwhile another thread of the pool may run. Linux and
 * Windows notice also without this that a thread is blocked. Outside of a job it only runs `fn`.
 */
export function blocking<T>(fn: () => T): T {
  return current ? current.blocking(fn) : fn();
}

/** The value that a job returns when its result has parts to be transferred. */
export class Transferred<T = unknown> {
  readonly value: T;
  readonly list: TransferList;

  constructor(value: T, list: TransferList) {
    this.value = value;
    this.list = list;
  }
}

/** For a job to return: the result is `value`, and the objects of `list` move to the owner instead of being copied. */
export function transfer<T>(value: T, list: TransferList): T {
  // The caller of run() gets the value itself.
  return new Transferred(value, list) as T;
}
