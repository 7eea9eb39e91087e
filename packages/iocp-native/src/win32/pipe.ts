// Named pipes, which are the local sockets of Windows. Each instance of a pipe is a connection, or waits for its client. It is
// associated with its port before the client comes. The kernel queues a packet for each success, also at once.

import { checkPath } from '../contract/endpoint.js';
import { IocpError } from '../contract/errors.js';
import type { PipeEndpoint, SocketOptions } from '../contract/port.js';
import { disown, Owned, own, taken } from '../native/ledger.js';
import * as c from './constants.js';
import { win32Error } from './errors.js';
import {
  CloseHandle,
  CreateFileW,
  CreateNamedPipeW,
  DisconnectNamedPipe,
  GetLastError,
  ReadFile,
  WriteFile,
} from './kernel32.js';

/** Which end of a pipe a handle is: only the server can discard bytes that its peer has not read. */
export type PipeEnd = 'server' | 'client';

/** The state of an end of a pipe. A pipe takes the pieces of a send one after the other. */
export class PipeState {
  readonly end: PipeEnd;
  /** The piece that is with the kernel, of so many, and the bytes of those before it. */
  piece = 0;
  pieces = 0;
  bytes = 0;

  constructor(end: PipeEnd) {
    this.end = end;
  }
}

const PREFIX = /^\\\\[.?]\\pipe\\./i;
/** Bytes that the kernel holds in each direction. */
const BUFFER_SIZE = 65536;

/** A new instance of a pipe, which waits for a client from now on. `first` fails with EADDRINUSE when there are others. */
export function createInstance(path: string, options: SocketOptions, first: boolean, action: string): number {
  const mode = c.PIPE_ACCESS_DUPLEX | c.FILE_FLAG_OVERLAPPED | (first ? c.FILE_FLAG_FIRST_PIPE_INSTANCE : 0);
  const { sendBufferSize = BUFFER_SIZE, receiveBufferSize = BUFFER_SIZE } = options;
  const name = nameOf(path, action);
  // Bytes, not messages, and for clients of this machine.
  const type = c.PIPE_REJECT_REMOTE_CLIENTS;
  const most = c.PIPE_UNLIMITED_INSTANCES;
  taken[0] = CreateNamedPipeW(name, mode, type, most, sendBufferSize, receiveBufferSize, 0, null);
  const handle = taken[0];
  if (handle === c.INVALID_HANDLE_VALUE) {
    const errno = GetLastError();
    // The second, when the server that has the name allows so many instances and no more.
    const inUse = first && (errno === c.ERROR_ACCESS_DENIED || errno === c.ERROR_PIPE_BUSY);
    throw win32Error(action, 'CreateNamedPipeW', inUse ? c.WSAEADDRINUSE : errno);
  }
  own(Owned.Handle, handle);
  return handle;
}

/** The client's end of a free instance, or -1 when none is free at the moment. The server may identify the client, not act for it. */
export function openClient({ path }: PipeEndpoint, action: string): number {
  const flags = c.FILE_FLAG_OVERLAPPED | c.SECURITY_SQOS_PRESENT | c.SECURITY_IDENTIFICATION;
  const name = nameOf(path, action);
  taken[0] = CreateFileW(name, c.GENERIC_READ_WRITE, 0, null, c.OPEN_EXISTING, flags, 0);
  const handle = taken[0];
  if (handle === c.INVALID_HANDLE_VALUE) {
    const errno = GetLastError();
    if (errno === c.ERROR_PIPE_BUSY) return -1;
    throw win32Error(action, 'CreateFileW', errno);
  }
  own(Owned.Handle, handle);
  return handle;
}

export function closePipe(handle: number, end: PipeEnd, reset: boolean): void {
  if (reset && end === 'server') DisconnectNamedPipe(handle);
  disown(Owned.Handle, handle);
  CloseHandle(handle);
}

/** Starts a read. The error number of the call; 0 on success, which has a packet, too. */
export function readPipe(handle: number, into: number, length: number, overlapped: number): number {
  return ReadFile(handle, into, length, null, overlapped) === 0 ? GetLastError() : 0;
}

/** The same for a write. */
export function writePipe(handle: number, from: number, length: number, overlapped: number): number {
  return WriteFile(handle, from, length, null, overlapped) === 0 ? GetLastError() : 0;
}

/** Whether a read failed because the other end is closed, and all that it has written was read. */
export function isPipeEnd(status: number): boolean {
  return status === c.ERROR_BROKEN_PIPE || status >>> 0 === c.STATUS_PIPE_BROKEN;
}

function nameOf(path: string, action: string): Buffer {
  if (!PREFIX.test(path)) {
    throw new IocpError(action, 'a local socket is named \\\\.\\pipe\\NAME here', 'EINVAL', 'CreateFileW');
  }
  checkPath({ path }, action);
  return Buffer.from(`${path}\0`, 'utf16le');
}
