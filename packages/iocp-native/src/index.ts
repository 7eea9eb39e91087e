/**
 * The package's face: open a port, the contract's types, and the errors.
 *
 * @module @overlapped/iocp-native
 */

export { type Candidate, candidates, type OpenOptions, openPort, openPoster } from './backend.js';
export type { Availability } from './contract/driver.js';
export { endpoint } from './contract/endpoint.js';
export { IocpError, isIocpError } from './contract/errors.js';
export * from './contract/port.js';
export type { NativeBlock } from './native/memory.js';
