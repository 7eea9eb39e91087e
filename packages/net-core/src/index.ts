/**
 * The package's face: the core that runs a completion port, and what it dispatches to.
 *
 * @module @overlapped/net-core
 */

export { type CoreFigures, Figure, FigureBoard, type ServerFigures } from './figures.js';
export { IocpCore, type IocpCoreOptions } from './iocp-core.js';
export { blocking, jobSignal, transfer } from './jobs/context.js';
export { type JobFigures, JobPool, type RunOptions } from './jobs/job-pool.js';
export type { JobPoolOptions } from './jobs/options.js';
export { type CompletionOwner, checkGrace, type Flushable, onCompletion, onFlush, type Stoppable } from './owners.js';
export type { Clock, System } from './system.js';
export { threadEntry } from './thread-entry.js';
export { Timer, type TimerQueue } from './timers.js';
export type { PostTarget } from './user-events.js';
export type { Exchange } from './workers/exchange.js';
export type { Hosted, HostModule } from './workers/protocol.js';
export type { WorkerPool, WorkerService } from './workers/worker-pool.js';
