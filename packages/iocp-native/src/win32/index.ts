/**
 * The raw Win32 functions by their own names, for programs that want only those. Importing this never throws; calling a
 * function where there is none throws an IocpError (ENOTSUP).
 *
 * @module @overlapped/iocp-native/win32
 */

export * from './constants.js';
export { win32Error } from './errors.js';
export * from './kernel32.js';
export { OVERLAPPED, OVERLAPPED_ENTRY, SOCKADDR_IN, SOCKADDR_IN6, WSABUF } from './layout.js';
export type { Address, Handle, Pointer, Raw, Values } from './library.js';
export * from './ws2_32.js';
