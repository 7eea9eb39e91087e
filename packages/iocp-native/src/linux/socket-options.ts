// The options of a socket, as Linux has them.

import {
  type AnySocketOptions,
  initialValue,
  type KeepAlive,
  type SocketOptionName,
  type SocketOptionValue,
} from '../contract/options.js';
import { ENOTSUP, linuxError } from './errors.js';
import * as abi from './layout.js';
import { errno, getsockopt, setsockopt } from './libc.js';

/** The level and the number of an option that is an int, or a boolean as an int. */
type IntOption = readonly [level: number, number: number];

/** What each option is to setsockopt(). `keepAlive` is several options. */
const table: { readonly [Name in SocketOptionName]-?: IntOption | 'keepAlive' } = {
  noDelay: [abi.IPPROTO_TCP, abi.TCP_NODELAY],
  keepAlive: 'keepAlive',
  sendBufferSize: [abi.SOL_SOCKET, abi.SO_SNDBUF],
  receiveBufferSize: [abi.SOL_SOCKET, abi.SO_RCVBUF],
  broadcast: [abi.SOL_SOCKET, abi.SO_BROADCAST],
};

/** Sets those of the options that are given: `names` are the ones that the kind of socket has. Throws an IocpError. */
export function applyOptions(
  fd: number,
  options: AnySocketOptions,
  names: readonly SocketOptionName[],
  action: string,
): void {
  for (const name of names) {
    const value = initialValue(options, name);
    if (value !== undefined) applyOption(fd, name, value, action);
  }
}

/** Sets one option. Throws an IocpError. */
export function applyOption(fd: number, name: SocketOptionName, value: SocketOptionValue, action: string): void {
  const option = table[name];
  if (option === 'keepAlive') applyKeepAlive(fd, value as number | KeepAlive, action);
  else setOption(fd, option[0], option[1], Number(value), action);
}

function applyKeepAlive(fd: number, keepAlive: number | KeepAlive, action: string): void {
  const { idle, interval, count }: KeepAlive = typeof keepAlive === 'number' ? { idle: keepAlive } : keepAlive;
  setOption(fd, abi.SOL_SOCKET, abi.SO_KEEPALIVE, idle > 0 ? 1 : 0, action);
  if (idle > 0) setOption(fd, abi.IPPROTO_TCP, abi.TCP_KEEPIDLE, idle, action);
  if (interval !== undefined) setOption(fd, abi.IPPROTO_TCP, abi.TCP_KEEPINTVL, interval, action);
  if (count !== undefined) setOption(fd, abi.IPPROTO_TCP, abi.TCP_KEEPCNT, count, action);
}

/** Sets an option that is an int. A local socket ignores those of IP and TCP. Throws an IocpError. */
export function setOption(fd: number, level: number, number: number, value: number, action: string): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value, 0);
  if (setsockopt(fd, level, number, bytes, 4) >= 0) return;
  const code = errno();
  // A local socket has no other level than that of sockets.
  if (code === ENOTSUP && level !== abi.SOL_SOCKET) return;
  throw linuxError(action, 'setsockopt', code);
}

/** Reads an option that is an int; -1 when it cannot be had. */
export function getOption(fd: number, level: number, number: number): number {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(4, 4);
  return getsockopt(fd, level, number, bytes, bytes.subarray(4)) < 0 ? -1 : bytes.readInt32LE(0);
}
