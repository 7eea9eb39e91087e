// The messages of cores through node:diagnostics_channel:
//
//   overlapped:stats        once a second, while there is a subscriber: { core, stats }
//   overlapped:worker-lost  a worker thread is lost: { core, index, error }
//   overlapped:worker-hung  a worker thread has not run for some time: { core, index, seconds }

import { channel } from 'node:diagnostics_channel';
import type { IocpCore } from './iocp-core.js';

const PERIOD = 1000;

const stats = channel('overlapped:stats');
const workerLost = channel('overlapped:worker-lost');
const workerHung = channel('overlapped:worker-hung');

/** Reports until the function that it gives is called. It keeps no process alive. */
export function reportStats(core: IocpCore): () => void {
  const timer = setInterval(() => {
    if (stats.hasSubscribers) stats.publish({ core, stats: core.stats() });
  }, PERIOD);
  timer.unref();
  return () => clearInterval(timer);
}

export function reportLoss(core: IocpCore, index: number, error: Error): void {
  workerLost.publish({ core, index, error });
}

/** A handler in a worker thread has not returned, or waits for something without letting the event loop turn. */
export function reportHang(core: IocpCore, index: number, seconds: number): void {
  workerHung.publish({ core, index, seconds });
  const what = `the worker thread ${index} has not run for ${seconds} s: a handler does not return`;
  process.emitWarning(`${what}. It gets no more connections and no broadcasts until it runs again`);
}

/** The default of `onWorkerLost`: a process warning. */
export function warn(error: Error): void {
  process.emitWarning(error);
}
