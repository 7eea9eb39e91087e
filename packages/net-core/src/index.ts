// The package's face: the core that runs a completion port, and what it dispatches to.

export { type CompletionOwner, type Flushable, IocpCore, type IocpCoreOptions, type Stoppable } from './iocp-core.js';
export { Timer } from './timers.js';
export type { PostTarget } from './user-events.js';
