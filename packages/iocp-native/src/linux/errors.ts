// Linux errno numbers to portable errors. Node already has the table: the names in os.constants.errno, the texts
// in util.getSystemErrorMap().

import { constants, release } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { IocpError, packetError } from '../contract/errors.js';

const reasons = getSystemErrorMap();
const codes = new Map(Object.entries(constants.errno).map(([code, errno]) => [errno, code]));

export const ENOENT = constants.errno.ENOENT;
export const EINTR = constants.errno.EINTR;
export const EINVAL = constants.errno.EINVAL;
export const ESPIPE = constants.errno.ESPIPE;
export const EAGAIN = constants.errno.EAGAIN;
export const EINPROGRESS = constants.errno.EINPROGRESS;
export const EBUSY = constants.errno.EBUSY;
export const ETIME = constants.errno.ETIME;
export const ENOBUFS = constants.errno.ENOBUFS;
export const ECANCELED = constants.errno.ECANCELED;
export const ECONNABORTED = constants.errno.ECONNABORTED;
export const EMSGSIZE = constants.errno.EMSGSIZE;
export const EAFNOSUPPORT = constants.errno.EAFNOSUPPORT;
export const ENOTSUP = constants.errno.ENOTSUP;

/** The error of a call, to be thrown. @param errno positive */
export function linuxError(action: string, syscall: string, errno: number): IocpError {
  return new IocpError(action, reasonOf(errno), codeOf(errno), syscall, errno);
}

/** Why the kernel gives no ring, where the code says more than the system's text for it. */
export function whyNoRing(code: string): string | undefined {
  switch (code) {
    case 'EPERM':
    case 'EACCES':
      return 'io_uring is forbidden here, by seccomp or kernel.io_uring_disabled';
    case 'ENOMEM':
      return 'no more memory may be locked for a ring: see RLIMIT_MEMLOCK';
    case 'ENOSYS':
      return 'this kernel has no io_uring';
    case 'EINVAL':
      return `the kernel (${release()}) refuses what Linux 6.1 takes`;
  }
  return undefined;
}

/** The error of io_uring_setup() or io_uring_register(), to be thrown. @param errno positive */
export function ringError(action: string, syscall: string, errno: number): IocpError {
  const code = codeOf(errno);
  return new IocpError(action, whyNoRing(code) ?? reasonOf(errno), code, syscall, errno);
}

/** The error of an operation, for its packet. @param errno positive */
export function linuxPacketError(action: string, syscall: string, errno: number): IocpError {
  return packetError(action, reasonOf(errno), codeOf(errno), syscall, errno);
}

/** The error of an operation that cancel() or close() has ended. */
export function canceled(action: string, syscall: string): IocpError {
  return linuxPacketError(action, syscall, ECANCELED);
}

/** The error of a completion, for its packet. @param result of the operation: negative when it failed. */
export function resultError(action: string, syscall: string, result: number): IocpError | null {
  return result < 0 ? linuxPacketError(action, syscall, -result) : null;
}

function reasonOf(errno: number): string {
  return reasons.get(-errno)?.[1] ?? `error ${errno}`;
}

function codeOf(errno: number): string {
  return codes.get(errno) ?? `E${errno}`;
}
