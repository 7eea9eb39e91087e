/**
 * The package's face: who listens, who connects, and what a connection is.
 *
 * @module @overlapped/session
 */

export { ClientService, type ClientServiceOptions } from './client-service.js';
export type { ConnectOptions } from './connecting.js';
export type { Connection } from './connection.js';
export { Connector, type ConnectorOptions, type ConnectTarget } from './connector.js';
export {
  type DatagramBindOptions,
  type DatagramConnectOptions,
  type DatagramHandlers,
  DatagramSession,
  type DatagramStats,
} from './datagram-session.js';
export type { SessionDuplex } from './duplex.js';
export type { FileRange } from './file-send.js';
export { delimited, lines } from './framing/delimited.js';
export { fixedLength } from './framing/fixed-length.js';
export { encodeFrame, type FrameLimit, type Framer } from './framing/framer.js';
export type { LengthSize } from './framing/length-fields.js';
export { type LengthPrefixOptions, lengthPrefixed } from './framing/length-prefixed.js';
export { framed, type PacketHandlers, PacketSession } from './framing/packet-session.js';
export { broadcast } from './groups.js';
export type { SessionHandlers, SessionKind } from './handlers.js';
export type { WorkerSessionOptions } from './intake.js';
export type { AcceptLimits, AddressList, ProxyOptions } from './limits.js';
export {
  Listener,
  type ListenerOptions,
  type ListenerStats,
  type ListenOptions,
  type LocalListenerOptions,
  type LocalListenOptions,
} from './listener.js';
export type { QueueLimitOptions } from './queue-limit.js';
export { Session } from './session.js';
export type { SessionLimits, SessionOptions, Watermarks } from './session-set.js';
export type { Timeouts } from './sweep.js';
export type { WebStreams } from './web.js';
