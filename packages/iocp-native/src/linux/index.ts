/**
 * The raw ring alone: @overlapped/iocp-native/linux. Importing it is harmless anywhere;
 * using it where there is no io_uring throws an IocpError.
 *
 * @module @overlapped/iocp-native/linux
 */

export { IocpError, isIocpError } from '../contract/errors.js';
export { Ring } from './io-uring/ring.js';
export * as submissions from './io-uring/submissions.js';
export * as layout from './layout.js';
export { io_uring_register, io_uring_setup } from './libc.js';
export { clearSignal, signal } from './signals.js';
