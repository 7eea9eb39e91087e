// The errors of a simulated kernel.

import { IocpError, packetError } from '../contract/errors.js';

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'the address is not of this machine',
  EBADF: 'no connection that was detached has this handle',
  ECANCELED: 'it was canceled',
  ECONNABORTED: 'the connection has gone before it was accepted',
  ECONNREFUSED: 'there is no listener',
  ECONNRESET: 'the connection was reset',
  EMFILE: 'there are too many open files',
  ENOBUFS: 'the system is out of memory',
  EPIPE: 'the connection was ended',
  ETIMEDOUT: 'there was no answer',
};

/** For operations that a simulated network does not have. */
export function lacks(action: string, syscall: string): IocpError {
  return new IocpError(action, 'a simulation has connections between addresses only', 'ENOTSUP', syscall);
}

export function failure(action: string, code: string, syscall: string): IocpError {
  return packetError(action, reasons[code] ?? code, code, syscall);
}
