/**
 * The package's face: who listens, who connects, and what a connection is.
 *
 * @module @overlapped/session
 */

export { Connector, type ConnectorOptions, type ConnectTarget } from './connector.js';
export { broadcast } from './groups.js';
export type { SessionHandlers, SessionKind } from './handlers.js';
export type { WorkerSessionOptions } from './intake.js';
export { Listener, type ListenerFigures, type ListenerOptions, type ListenOptions } from './listener.js';
export { Session } from './session.js';
export type { SessionOptions, Watermarks } from './session-set.js';
