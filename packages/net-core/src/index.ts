/**
 * The package's face: the core that runs a completion port, and what it dispatches to.
 *
 * @module @overlapped/net-core
 */

export { IocpCore, type IocpCoreOptions } from './iocp-core.js';
export { type CompletionOwner, type Flushable, onCompletion, onFlush, type Stoppable } from './owners.js';
export type { CoreStats, ServerStats } from './stats.js';
export type { Clock, System } from './system.js';
export { Timer, type TimerQueue } from './timers.js';
export type { PostTarget } from './user-events.js';
export type { WorkerPool } from './workers/worker-pool.js';

// For the other packages of this repository: not in the published declarations. Each statement needs its own mark.

/** @internal */
export { checkGrace } from './owners.js';
/** @internal */
export { Stat, StatsBlock } from './stats.js';
/** @internal */
export type { Exchange } from './workers/exchange.js';
/** @internal */
export type { Hosted, HostModule } from './workers/protocol.js';
/** @internal */
export type { WorkerService } from './workers/worker-pool.js';
