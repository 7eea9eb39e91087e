// The package's face: who listens, who connects, and what a connection is.

export type { Connection } from './connection.js';
export { Connector, type ConnectorOptions, type ConnectTarget } from './connector.js';
export {
  type DatagramBindOptions,
  type DatagramConnectOptions,
  type DatagramFigures,
  type DatagramHandlers,
  DatagramSession,
} from './datagram-session.js';
export type { FileRange } from './file-send.js';
export { broadcast } from './groups.js';
export type { SessionHandlers, SessionKind } from './handlers.js';
export type { WorkerSessionOptions } from './intake.js';
export {
  Listener,
  type ListenerFigures,
  type ListenerOptions,
  type ListenOptions,
  type LocalListenerOptions,
  type LocalListenOptions,
} from './listener.js';
export { Session } from './session.js';
export type { SessionLimits, SessionOptions, Watermarks } from './session-set.js';
