// What a core tells through node:diagnostics_channel:
//
//   overlapped:figures      once a second, while somebody has subscribed: { core, figures }
//   overlapped:worker-lost  a worker thread is lost: { core, index, error }

import { channel } from 'node:diagnostics_channel';
import type { IocpCore } from './iocp-core.js';

const PERIOD = 1000;

const figures = channel('overlapped:figures');
const workerLost = channel('overlapped:worker-lost');

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

/** What becomes of a loss that nobody asked to be told of. */
export function warn(error: Error): void {
  process.emitWarning(error);
}
