/**
 * The package's face: pools of threads that run jobs, and the port that such threads wait on.
 *
 * @module @overlapped/jobs
 */

export {
  createSharedPort,
  openSharedPort,
  type SharedPacket,
  type SharedPort,
  type SharedPortOptions,
  type SharedPortToken,
} from '@overlapped/iocp-native/internal';
export { blocking, jobSignal, transfer } from './context.js';
export { JobPool, type JobStats, type RunOptions } from './job-pool.js';
export type { JobPoolOptions } from './options.js';
export type { TransferList } from './transfer-list.js';
