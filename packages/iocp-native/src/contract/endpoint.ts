// Endpoints: checking a caller's, taking the system's, and writing one in a message.

import { isIP, isIPv6 } from 'node:net';
import { IocpError } from './errors.js';
import type { Endpoint, PipeEndpoint } from './port.js';

/** The form of a zone: an interface's name, or its number. */
const ZONE = /^[^\s\0%/:]+$/;

/** The family of an IP address, which may have a zone (`fe80::1%eth0`); 0 for a text that is none. */
export function familyOf(address: unknown): 0 | 4 | 6 {
  if (typeof address !== 'string') return 0;
  const end = address.indexOf('%');
  if (end < 0) return isIP(address) as 0 | 4 | 6;
  // isIP() itself does not take the names of all interfaces.
  return isIPv6(address.slice(0, end)) && ZONE.test(address.slice(end + 1)) ? 6 : 0;
}

/**
 * An endpoint from an IP address and a port. A link-local address needs a zone: `fe80::1%eth0`, on Windows `fe80::1%4`.
 * Throws an IocpError (EINVAL) when either is not one.
 */
export function endpoint(address: string, port: number): Endpoint {
  const family = familyOf(address);
  if (family === 0)
    throw new IocpError(`use the address "${address}"`, 'it is not an IP address', 'EINVAL', 'endpoint');
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new IocpError(`use the port ${port}`, 'it is not a whole number from 0 to 65535', 'EINVAL', 'endpoint');
  }
  return { address, family, port };
}

/** An endpoint that the system told. It goes back to the system unchecked: no rule for callers may refuse a peer. */
export class ToldEndpoint implements Endpoint {
  readonly address: string;
  readonly family: 4 | 6;
  readonly port: number;

  constructor(address: string, family: 4 | 6, port: number) {
    this.address = address;
    this.family = family;
    this.port = port;
  }
}

/** An endpoint as node:net and node:dgram tell it. */
export function told(address: string, port: number): Endpoint {
  return new ToldEndpoint(address, address.includes(':') ? 6 : 4, port);
}

/** An endpoint as people write it: `127.0.0.1:80`, `[::1]:80`, a path; `@name` for an abstract one. */
export function endpointText(at: Endpoint | PipeEndpoint): string {
  if (isPipe(at)) return at.path.replaceAll('\0', '@') || 'an empty path';
  return `${at.family === 6 ? `[${at.address}]` : at.address}:${at.port}`;
}

export function isPipe(at: Endpoint | PipeEndpoint): at is PipeEndpoint {
  return 'path' in at;
}

/** The longest path: the bytes of a sockaddr_un, less one for its end, or the characters that Windows allows a pipe. */
const LONGEST_PATH = { win32: 256, linux: 107 }[process.platform as string] ?? 103;

/** Linux: a name that is no file's. It may have any bytes behind its first, which is a zero. unix(7) */
export function isAbstract({ path }: PipeEndpoint): boolean {
  return process.platform === 'linux' && path.length > 1 && path.startsWith('\0');
}

/** Throws an IocpError for a path that is none, which a system would cut at a zero or at its longest. */
export function checkPath(at: PipeEndpoint, action: string): void {
  if (at.path === '' || (at.path.includes('\0') && !isAbstract(at))) {
    throw new IocpError(action, 'this is no path', 'EINVAL', 'socket');
  }
  if (!fits(at)) throw new IocpError(action, 'name too long', 'ENAMETOOLONG', 'socket');
}

/** Whether the system's addresses have room for a path. */
export function fits({ path }: PipeEndpoint): boolean {
  return (process.platform === 'win32' ? path.length : Buffer.byteLength(path)) <= LONGEST_PATH;
}

/** A local socket has no address to be asked for. */
export function hasNoAddress(syscall: string): IocpError {
  return new IocpError('read an address', 'a local socket has none', 'EAFNOSUPPORT', syscall);
}
