// What cores and job pools tell through node:diagnostics_channel:
//
//   overlapped:figures          once a second, while somebody has subscribed: { core, figures }
//   overlapped:worker-lost      a worker thread is lost: { core, index, error }
//   overlapped:job-thread-lost  a thread of a job pool has died of an error: { index, error }

import { channel } from 'node:diagnostics_channel';
import { describe } from './carried-error.js';
import type { IocpCore } from './iocp-core.js';

const PERIOD = 1000;

const figures = channel('overlapped:figures');
const workerLost = channel('overlapped:worker-lost');
const jobThreadLost = channel('overlapped:job-thread-lost');

/** Reports until the function that it gives is called. It keeps no process alive. */
export function reportFigures(core: IocpCore): () => void {
  const timer = setInterval(() => {
    if (figures.hasSubscribers) figures.publish({ core, figures: core.figures() });
  }, PERIOD);
  timer.unref();
  return () => clearInterval(timer);
}

export function reportLoss(core: IocpCore, index: number, error: Error): void {
  workerLost.publish({ core, index, error });
}

/** Something threw outside of a job, mostly what a job left behind: no promise tells of it. */
export function reportJobThreadLoss(index: number, error: unknown): void {
  jobThreadLost.publish({ index, error });
  warn(error instanceof Error ? error : new Error(`a job's thread died of ${describe(error)}`));
}

/** What becomes of a loss that nobody asked to be told of. */
export function warn(error: Error): void {
  process.emitWarning(error);
}
