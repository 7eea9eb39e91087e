// Linux errno numbers to portable errors. Node already has the table: the names in os.constants.errno, the texts
// in util.getSystemErrorMap().

import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { IocpError, packetError } from '../errors.js';

const reasons = getSystemErrorMap();
const codes = new Map(Object.entries(constants.errno).map(([code, errno]) => [errno, code]));

export const ENOENT = constants.errno.ENOENT;
export const EINTR = constants.errno.EINTR;
export const EAGAIN = constants.errno.EAGAIN;
export const EBUSY = constants.errno.EBUSY;
export const ETIME = constants.errno.ETIME;
export const ENOBUFS = constants.errno.ENOBUFS;
export const ECANCELED = constants.errno.ECANCELED;
export const EMSGSIZE = constants.errno.EMSGSIZE;
export const EAFNOSUPPORT = constants.errno.EAFNOSUPPORT;
export const ENOTSUP = constants.errno.ENOTSUP;

/** The error of a call, to be thrown. @param errno positive */
export function linuxError(action: string, syscall: string, errno: number): IocpError {
  return new IocpError(action, reasonOf(errno), codeOf(errno), syscall, errno);
}

/** The error of an operation, for its packet. @param errno positive */
export function linuxPacketError(action: string, syscall: string, errno: number): IocpError {
  return packetError(action, reasonOf(errno), codeOf(errno), syscall, errno);
}

function reasonOf(errno: number): string {
  return reasons.get(-errno)?.[1] ?? `error ${errno}`;
}

function codeOf(errno: number): string {
  return codes.get(errno) ?? `E${errno}`;
}
