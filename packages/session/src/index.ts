// The package's face: who listens, who connects, and what a connection is.

export { Connector, type ConnectorOptions, type ConnectTarget } from './connector.js';
export type { SessionHandlers, SessionKind } from './handlers.js';
export { Listener, type ListenerFigures, type ListenerOptions } from './listener.js';
export { Session } from './session.js';
export type { SessionOptions } from './session-set.js';
