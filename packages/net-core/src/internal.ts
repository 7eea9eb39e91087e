/**
 * For the packages of this repository. This entry is no promise: any name of it may change or go in any version.
 *
 * @module @overlapped/net-core/internal
 */

export { Core } from './core.js';
export { internalsOf } from './iocp-core.js';
export { type CompletionOwner, type Flushable, onCompletion, onFlush } from './owners.js';
export { surface } from './pump.js';
export { registerStats, Stat, StatsBlock } from './stats.js';
export type { Service, WorkerModule } from './workers/protocol.js';
export type { SharedMessages } from './workers/shared-messages.js';
export type { WorkerService } from './workers/worker-pool.js';
