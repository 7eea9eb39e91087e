// Node's errors as IocpErrors. Node has already made the codes portable; this makes the message, and maps Node's own codes.

import { getSystemErrorMap } from 'node:util';
import { IocpError, isIocpError, packetError } from '../contract/errors.js';

const reasons = getSystemErrorMap();

/** Codes of Node's own: the portable code of each, and the reason. */
const own: Record<string, readonly [code: string, reason: string]> = {
  ERR_STREAM_DESTROYED: ['ECONNABORTED', 'the connection was ended'],
  ERR_SOCKET_CLOSED: ['ECONNABORTED', 'the connection was ended'],
  ERR_SOCKET_CLOSED_BEFORE_CONNECTION: ['ECONNABORTED', 'the connection was ended'],
  ERR_STREAM_PREMATURE_CLOSE: ['ECONNABORTED', 'the connection was ended'],
  ERR_SOCKET_BAD_PORT: ['EINVAL', 'the port is 0'],
  ERR_STREAM_WRITE_AFTER_END: ['EPIPE', 'the socket has been shut down for sending'],
};

/** The IocpError for an error of node:net. `syscall` is for errors that name none. */
export function fromNode(action: string, syscall: string, cause: NodeJS.ErrnoException): IocpError {
  const code = cause.code ?? 'EIO';
  if (isIocpError(cause)) return cause;
  const known = own[code];
  if (known) return packetError(action, known[1], known[0], syscall, 0, { cause });
  const number = cause.errno ?? 0;
  const reason = reasons.get(number)?.[1] ?? cause.message;
  // libuv's numbers are the negated errno, but on Windows they are made up.
  const errno = process.platform === 'win32' ? 0 : -number;
  return packetError(action, reason, code, cause.syscall ?? syscall, errno, { cause });
}

export function canceled(action: string, syscall: string): IocpError {
  return packetError(action, 'it was canceled', 'ECANCELED', syscall);
}

export function closed(action: string, what: 'port' | 'socket', syscall: string): IocpError {
  return new IocpError(action, `the ${what} is closed`, 'EBADF', syscall);
}

/** For operations that only a port of the kernel has. */
export function needsKernel(action: string, syscall: string): IocpError {
  return new IocpError(action, 'the portable backend has no handles to move or share', 'ENOTSUP', syscall);
}

/** For an option that node:net or node:dgram lacks. */
export function hasNoOption(action: string): IocpError {
  return new IocpError(action, 'Node has no such option', 'ENOTSUP', 'setsockopt');
}

export function notConnected(action: string, syscall: string): IocpError {
  return new IocpError(action, 'the socket is not connected', 'ENOTCONN', syscall);
}
