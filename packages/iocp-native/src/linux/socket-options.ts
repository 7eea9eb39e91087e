// The options of a socket, as Linux has them.

import type { KeepAlive, SocketOptionName, SocketOptionValue } from '../contract/options.js';
import { ENOTSUP, linuxError } from './errors.js';
import * as abi from './layout.js';
import { errno, getsockopt, setsockopt } from './libc.js';

/** The level and the number of an option that is an int, or a boolean as an int. */
type IntOption = readonly [level: number, number: number];
/** An option of IP, which has two versions. A socket of IPv6 has both: some of its peers may be IPv4. */
interface IPOption {
  readonly ipv4: IntOption;
  readonly ipv6: IntOption;
}

/** The level and name of each option for setsockopt(). `keepAlive` is several options. */
const table: { readonly [Name in SocketOptionName]-?: IntOption | IPOption | 'keepAlive' } = {
  noDelay: [abi.IPPROTO_TCP, abi.TCP_NODELAY],
  keepAlive: 'keepAlive',
  sendBufferSize: [abi.SOL_SOCKET, abi.SO_SNDBUF],
  receiveBufferSize: [abi.SOL_SOCKET, abi.SO_RCVBUF],
  tos: { ipv4: [abi.IPPROTO_IP, abi.IP_TOS], ipv6: [abi.IPPROTO_IPV6, abi.IPV6_TCLASS] },
  broadcast: [abi.SOL_SOCKET, abi.SO_BROADCAST],
};

/** Sets one option. Throws an IocpError. */
export function applyOption(fd: number, name: SocketOptionName, value: SocketOptionValue, action: string): void {
  const option = table[name];
  if (option === 'keepAlive') applyKeepAlive(fd, value as number | KeepAlive, action);
  else if ('ipv4' in option) applyIPOption(fd, option, value as number, action);
  else setOption(fd, option[0], option[1], Number(value), action);
}

function applyIPOption(fd: number, { ipv4, ipv6 }: IPOption, value: number, action: string): void {
  setOption(fd, ipv4[0], ipv4[1], value, action);
  const family = getOption(fd, abi.SOL_SOCKET, abi.SO_DOMAIN);
  if (family === abi.AF_INET6) setOption(fd, ipv6[0], ipv6[1], value, action);
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
