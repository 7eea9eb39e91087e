// The options of a socket, as Windows has them: setsockopt, and WSAIoctl for those that have no other way.

import { IocpError } from '../contract/errors.js';
import type { KeepAlive, SocketOptionName, SocketOptionValue } from '../contract/options.js';
import * as c from './constants.js';
import { win32Error } from './errors.js';
import { setsockopt, WSAGetLastError, WSAIoctl } from './ws2_32.js';

/** The level and the number of an option that is an int, or a boolean as an int. */
type IntOption = readonly [level: number, number: number];

/** The level and name of each option for setsockopt(). `keepAlive` is several options. An option that Windows lacks has the reason. */
const table: { readonly [Name in SocketOptionName]-?: IntOption | 'keepAlive' | { readonly lacking: string } } = {
  noDelay: [c.IPPROTO_TCP, c.TCP_NODELAY],
  keepAlive: 'keepAlive',
  sendBufferSize: [c.SOL_SOCKET, c.SO_SNDBUF],
  receiveBufferSize: [c.SOL_SOCKET, c.SO_RCVBUF],
  // setsockopt() of IP_TOS succeeds, and has no effect.
  tos: { lacking: 'Windows marks packets by its QoS policies only' },
  broadcast: [c.SOL_SOCKET, c.SO_BROADCAST],
};

/** Sets one option. Throws an IocpError. */
export function applyOption(handle: number, name: SocketOptionName, value: SocketOptionValue, action: string): void {
  const option = table[name];
  if (option === 'keepAlive') applyKeepAlive(handle, value as number | KeepAlive, action);
  else if ('lacking' in option) throw new IocpError(action, option.lacking, 'ENOTSUP', 'setsockopt');
  else setOption(handle, option[0], option[1], Number(value), action);
}

function applyKeepAlive(handle: number, keepAlive: number | KeepAlive, action: string): void {
  const { idle, interval, count }: KeepAlive = typeof keepAlive === 'number' ? { idle: keepAlive } : keepAlive;
  setOption(handle, c.SOL_SOCKET, c.SO_KEEPALIVE, idle > 0 ? 1 : 0, action);
  const options = [
    [c.TCP_KEEPALIVE, idle > 0 ? idle : undefined],
    [c.TCP_KEEPINTVL, interval],
    [c.TCP_KEEPCNT, count],
  ] as const;
  for (const [name, value] of options) {
    const errno = value === undefined ? 0 : trySetOption(handle, c.IPPROTO_TCP, name, value, action);
    if (errno === c.WSAENOPROTOOPT) {
      setKeepAliveValues(handle, idle, interval, action);
      return;
    }
    if (errno !== 0) throw win32Error(action, 'setsockopt', errno);
  }
}

/** For Windows before 10 1709, which lacks two of the options. There the count is always 10. */
function setKeepAliveValues(handle: number, idle: number, interval = 1, action: string): void {
  if (idle === 0) return;
  const values = Buffer.from(new Uint32Array([1, idle * 1000, interval * 1000]).buffer);
  if (ioctl(handle, c.SIO_KEEPALIVE_VALS, values) !== 0) throw win32Error(action, 'WSAIoctl', WSAGetLastError());
}

/** WSAIoctl with an input: 0, or -1 with the error in WSAGetLastError(). */
export function ioctl(handle: number, code: number, input: Buffer): number {
  return WSAIoctl(handle, code, input, input.length, null, 0, Buffer.alloc(4), 0, 0);
}

/** Windows sets IPV6_V6ONLY by default. It cannot be cleared where there is no IPv4, which is no error. */
export function setIPv6Only(handle: number, on: boolean, action: string): void {
  if (on) setOption(handle, c.IPPROTO_IPV6, c.IPV6_V6ONLY, 1, action);
  else trySetOption(handle, c.IPPROTO_IPV6, c.IPV6_V6ONLY, 0, action);
}

export function setOption(handle: number, level: number, name: number, value: number, action: string): void {
  const errno = trySetOption(handle, level, name, value, action);
  if (errno !== 0) throw win32Error(action, 'setsockopt', errno);
}

/** Gives the error number; 0 on success. */
function trySetOption(handle: number, level: number, name: number, value: number, action: string): number {
  assertHandle(handle, action, 'setsockopt');
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return setsockopt(handle, level, name, bytes, 4) === 0 ? 0 : WSAGetLastError();
}

/** Throws an IocpError (EBADF) when the socket has no handle. */
export function assertHandle(handle: number, action: string, syscall: string): void {
  if (handle < 0) throw new IocpError(action, 'the socket is closed', 'EBADF', syscall);
}
