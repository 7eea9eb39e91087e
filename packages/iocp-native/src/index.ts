/**
 * The package's face: open a port, the contract's types, and the errors.
 *
 * @module @overlapped/iocp-native
 */

export { type Availability, type Candidate, candidates, type OpenOptions, openPort, openPoster } from './backend.js';
export * from './contract.js';
export { endpoint } from './endpoint.js';
export { IocpError, isIocpError } from './errors.js';
export type { NativeBlock } from './memory.js';
