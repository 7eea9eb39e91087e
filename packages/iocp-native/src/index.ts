/**
 * The package's face: open a port, the contract's types, and the errors.
 *
 * @module @overlapped/iocp-native
 */

export { type Candidate, candidates, type OpenOptions, openPort, openPoster } from './backend.js';
export type { Availability } from './contract/driver.js';
export { endpoint } from './contract/endpoint.js';
export { IocpError, isIocpError } from './contract/errors.js';
// By name: the parts of the contract for drivers are not for users.
export {
  type AnySocketOptions,
  type BackendName,
  CompletionPacket,
  type CompletionPort,
  createBatch,
  type DatagramOptions,
  type DatagramSocketOptions,
  type Endpoint,
  EVENT_SIZE,
  GatherList,
  type KeepAlive,
  type ListenOptions,
  MAX_DATAGRAM_SENDS,
  MAX_GATHER,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type PortOptions,
  type PortPoster,
  type PortSocket,
  type PortStats,
  type PortToken,
  type ReceiveBufferOptions,
  type SocketOptionName,
  type SocketOptions,
} from './contract/port.js';
export type { NativeBlock } from './native/memory.js';
