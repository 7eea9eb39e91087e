// Endpoints: checking what a caller gave, and writing one in a message.

import { isIP } from 'node:net';
import type { Endpoint, PipeEndpoint } from './contract.js';
import { IocpError } from './errors.js';

/** An endpoint from an IP address and a port. Throws an IocpError (EINVAL) when either is not one. */
export function endpoint(address: string, port: number): Endpoint {
  // isIP also takes a zone (fe80::1%eth0), which no backend here does.
  const family = address.includes('%') ? 0 : isIP(address);
  if (family === 0)
    throw new IocpError(`use the address "${address}"`, 'it is not an IP address', 'EINVAL', 'endpoint');
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new IocpError(`use the port ${port}`, 'it is not a whole number from 0 to 65535', 'EINVAL', 'endpoint');
  }
  return { address, family: family as 4 | 6, port };
}

/** An endpoint as people write it: `127.0.0.1:80`, `[::1]:80`, a path; `@name` for an abstract one. */
export function endpointText(at: Endpoint | PipeEndpoint): string {
  if (isPipe(at)) return at.path.replace('\0', '@');
  return `${at.family === 6 ? `[${at.address}]` : at.address}:${at.port}`;
}

export function isPipe(at: Endpoint | PipeEndpoint): at is PipeEndpoint {
  return 'path' in at;
}

/** For a path that is longer than the system's addresses, which node:net would cut. */
export function pathTooLong(action: string): IocpError {
  return new IocpError(action, 'name too long', 'ENAMETOOLONG', 'socket');
}

/** A local socket has no address to be asked for. */
export function hasNoAddress(syscall: string): IocpError {
  return new IocpError('read an address', 'a local socket has none', 'EAFNOSUPPORT', syscall);
}
