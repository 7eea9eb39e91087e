/**
 * The package's face: the core that runs a completion port.
 *
 * @module @overlapped/net-core
 */

export { IocpCore, type IocpCoreOptions } from './iocp-core.js';
export type { Stoppable } from './owners.js';
export type { CoreStats, ServerStats } from './stats.js';
export type { Clock, System } from './system.js';
export { Timer, type TimerQueue } from './timers.js';
export type { PostTarget } from './user-events.js';
export type { WorkerPool } from './workers/worker-pool.js';
