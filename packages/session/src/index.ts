// The package's face: who listens, who connects, and what a connection is.

export { ClientService, type ClientServiceOptions } from './client-service.js';
export type { ConnectOptions } from './connecting.js';
export { Connector, type ConnectorOptions, type ConnectTarget } from './connector.js';
export { broadcast } from './groups.js';
export type { SessionHandlers, SessionKind } from './handlers.js';
export type { WorkerSessionOptions } from './intake.js';
export type { AcceptLimits } from './limits.js';
export { Listener, type ListenerFigures, type ListenerOptions, type ListenOptions } from './listener.js';
export type { QueueLimitOptions } from './queue-limit.js';
export { Session } from './session.js';
export type { SessionOptions, Watermarks } from './session-set.js';
export type { Timeouts } from './sweep.js';
