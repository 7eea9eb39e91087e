/**
 * The package's public names: listeners, connectors and sessions, and names of the packages below that a server needs.
 *
 * @module @overlapped/session
 */

// Declares the statistics of sessions in CoreStats.
import './stats.js';

export {
  type BackendName,
  type Candidate,
  candidates,
  type Endpoint,
  endpoint,
  IocpError,
  isIocpError,
  type KeepAlive,
  type PipeEndpoint,
  type SocketOptions,
} from '@overlapped/iocp-native';
export {
  type CoreStats,
  IocpCore,
  type IocpCoreOptions,
  type ServerStats,
  type SharedSessions,
  type Stoppable,
  Timer,
  type TimerQueue,
} from '@overlapped/net-core';
export type { AcceptLimits, AddressList, ProxyOptions } from './accept/accept-filter.js';
export type { WorkerSessionOptions } from './accept/accept-target.js';
export {
  Listener,
  type ListenerOptions,
  type ListenerStats,
  type ListenOptions,
  type LocalListenerOptions,
  type LocalListenOptions,
  type SharedListenerOptions,
  type TlsListenOptions,
} from './accept/listener.js';
export { ClientService, type ClientServiceOptions } from './connect/client-service.js';
export type { ConnectOptions } from './connect/connecting.js';
export { Connector, type ConnectorOptions, type ConnectTarget } from './connect/connector.js';
export {
  type DatagramBindOptions,
  type DatagramConnectOptions,
  type DatagramHandlers,
  DatagramSession,
  type DatagramStats,
} from './datagram/datagram-session.js';
export { delimited, lines } from './framing/delimited.js';
export { fixedLength } from './framing/fixed-length.js';
export { encodeFrame, type FrameLimit, type Framer } from './framing/framer.js';
export type { LengthSize } from './framing/length-fields.js';
export { type LengthPrefixOptions, lengthPrefixed } from './framing/length-prefixed.js';
export { framed, type PacketHandlers, PacketSession } from './framing/packet-session.js';
export type { FileRange } from './session/file-send.js';
export { broadcast } from './session/groups.js';
export type { SessionHandlers, SessionKind } from './session/handlers.js';
export type { QueueLimitOptions } from './session/queue-limit.js';
export { Session } from './session/session.js';
export type { SessionLimits, SessionOptions, Watermarks } from './session/session-set.js';
export type { Timeouts } from './session/timeout-rules.js';

export type { SharedSessionOptions } from './shared/options.js';
export { SharedPacketSession } from './shared/shared-packet-session.js';
export { SharedSession } from './shared/shared-session.js';
export type { StateArray } from './shared/state/array.js';
export type { StateOf, StateSchema } from './shared/state/layout.js';
export {
  array,
  bool,
  bytes,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  type StateArrayType,
  type StateMemory,
  type StateType,
  text,
  u8,
  u16,
  u32,
} from './shared/state/types.js';
export type { SessionDuplex } from './stream/duplex.js';
export type { WebStreams } from './stream/web.js';
export type {
  Pem,
  TlsClientOptions,
  TlsCredentials,
  TlsInfo,
  TlsOptions,
  TlsServerOptions,
  TlsVersion,
} from './tls/options.js';
