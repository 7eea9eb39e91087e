// The diagnostics channel of job pools (node:diagnostics_channel):
//
//   overlapped:job-thread-lost  a thread of a job pool has died of an error: { index, error }

import { channel } from 'node:diagnostics_channel';
import { describe } from '@overlapped/iocp-native/internal';

const jobThreadLost = channel('overlapped:job-thread-lost');

/** Reports an error that was thrown outside of a job, in most cases by something that a job left behind: no promise rejects with it. */
export function reportJobThreadLoss(index: number, error: unknown): void {
  jobThreadLost.publish({ index, error });
  process.emitWarning(error instanceof Error ? error : new Error(`a job's thread died of ${describe(error)}`));
}
