// Windows errors to portable ones, in one table: Winsock numbers (100xx), Win32 numbers, and the NTSTATUS values that
// packets carry, as libuv tells them apart. https://learn.microsoft.com/windows/win32/debug/system-error-codes, winerror.h, ntstatus.h

import { IocpError, packetError } from '../contract/errors.js';
import { RtlNtStatusToDosError } from './ntdll.js';

const table: readonly (readonly [code: string, reason: string, ...numbers: number[]])[] = [
  ['EACCES', 'permission denied', 10013, 5, 0xc0000022],
  ['EADDRINUSE', 'address already in use', 10048, 1227, 0xc000020a, 0xc0000043, 0xc0000209],
  ['EADDRNOTAVAIL', 'address not available', 10049, 1214, 0xc0000141, 0xc0000207, 0xc0000018],
  ['EAFNOSUPPORT', 'address family not supported', 10047],
  ['EAGAIN', 'resource temporarily unavailable', 10035, 0xc00000a3, 0xc00000d0],
  ['EALREADY', 'an operation of this kind is under way', 10037],
  ['EBADF', 'bad handle', 6, 10009, 0xc0000008],
  ['EBUSY', 'every instance of the pipe is in use', 231, 0xc00000ae],
  ['ECANCELED', 'operation canceled', 995, 676, 735, 0xc0000120, 0x8000000a],
  // 1235 and 0xc0000240, "request aborted", are no result of CancelIoEx.
  ['ECONNABORTED', 'connection aborted', 10053, 1236, 1235, 0xc0000241, 0xc000013b, 0xc000020f, 0xc0000240],
  ['ECONNREFUSED', 'connection refused', 10061, 1225, 1234, 0xc0000236, 0xc000023f, 0xc00000bc],
  ['ECONNRESET', 'connection reset by peer', 10054, 64, 0xc000020d, 0xc000013c, 0xc000013e, 0xc00000c9, 0xc000020c],
  ['EFAULT', 'bad address', 10014, 998, 0xc0000005, 0xc0000023],
  ['EHOSTUNREACH', 'no route to host', 10065, 1232, 0xc000023d],
  ['EINTR', 'interrupted', 10004],
  ['EINVAL', 'invalid argument', 10022, 87, 123, 0xc000000d],
  ['EISCONN', 'already connected', 10056, 0xc000023b],
  ['EMFILE', 'too many open sockets', 10024, 4, 0xc000011f],
  ['EMSGSIZE', 'message too long', 10040, 234, 0x80000005, 0xc0000206],
  ['ENETDOWN', 'network is down', 10050, 10093, 0xc00000bf, 0xc00000c3, 0xc00000c4, 0xc000000e],
  ['ENETRESET', 'connection dropped by the network', 10052, 0xc000a012],
  ['ENETUNREACH', 'network is unreachable', 10051, 1231, 1233, 0xc000023c, 0xc000023e, 0xc00000be],
  [
    'ENOBUFS',
    'no buffer space available',
    ...[10055, 1450, 1453, 0xc000009a, 0xc0000044, 0xc0000007, 0xc00000a1, 0xc0000097, 0xc000013d],
  ],
  ['ENODATA', 'it ends early', 38, 0xc0000011],
  ['ENOENT', 'no such file or directory', 2, 3, 0xc0000034, 0xc000003a, 0xc000000f],
  ['ENOMEM', 'not enough memory', 8, 14, 1455, 0xc0000017, 0xc000012d],
  ['ENOPROTOOPT', 'no such option', 10042],
  ['ENOTCONN', 'not connected', 10057, 2250, 0xc000023a, 0xc0000140],
  ['ENOTSOCK', 'not a socket', 10038, 0xc0000024],
  ['ENOTSUP', 'not supported', 10045, 50, 0xc00000bb, 0xc0000002],
  ['EPIPE', 'connection shut down', 10058, 10101, 109, 232, 233, 0xc00000b0, 0xc00000b1, 0xc000014b, 0xc0000237],
  ['EPROTONOSUPPORT', 'protocol not supported', 10043],
  ['ETIMEDOUT', 'timed out', 10060, 121, 258, 0xc00000b5, 0xc000013f, 0x102],
];

interface Meaning {
  readonly code: string;
  readonly reason: string;
}

const known = new Map<number, Meaning>(
  table.flatMap(([code, reason, ...numbers]) => numbers.map((n) => [n, { code, reason }] as const)),
);

/**
 * The error of a call, to be thrown, with the portable code.
 *
 * @param errno a number of WSAGetLastError or GetLastError, or an NTSTATUS (also as a negative number).
 */
export function win32Error(action: string, syscall: string, errno: number): IocpError {
  const { reason, code } = meaningOf(errno);
  return new IocpError(action, reason, code, syscall, errno >>> 0);
}

/** The error of an operation, for its packet. The number is as for win32Error(). */
export function win32PacketError(action: string, syscall: string, errno: number): IocpError {
  const { reason, code } = meaningOf(errno);
  return packetError(action, reason, code, syscall, errno >>> 0);
}

/** An NTSTATUS of this facility is a Win32 or Winsock number in 16 bits. */
const FACILITY_NTWIN32 = 0xc007;

function meaningOf(errno: number): Meaning {
  const number = errno >>> 0;
  const reason = `Windows error ${errno > 0xffff ? `0x${errno.toString(16)}` : errno}`;
  return known.get(number) ?? known.get(win32Number(number)) ?? { code: 'EIO', reason };
}

/** The Win32 number of an NTSTATUS. The system's table is longer than the one above. */
function win32Number(status: number): number {
  if (status >>> 16 === FACILITY_NTWIN32) return status & 0xffff;
  return status > 0xffff && process.platform === 'win32' ? RtlNtStatusToDosError(status) : status;
}
