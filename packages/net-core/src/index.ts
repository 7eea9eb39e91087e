/**
 * The package's face: the core that runs a completion port.
 *
 * @module @overlapped/net-core
 */

// All of it: only then other packages can declare more in CoreStats.
export type * from './core-stats.js';
export { IocpCore, type IocpCoreOptions, type SharedSessions } from './iocp-core.js';
export type { Stoppable } from './owners.js';
export type { Clock, System } from './system.js';
export { Timer, type TimerQueue } from './timers.js';
export type { PostTarget } from './user-events.js';
export type { WorkerPool } from './workers/worker-pool.js';
