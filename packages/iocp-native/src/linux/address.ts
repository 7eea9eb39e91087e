// Addresses of any family that a socket of this backend may have, as the kernel wants them: those of sockaddr.ts, and
// sockaddr_un, which is the family and a path of up to 108 bytes. unix(7)

import { checkPath, endpointText, hasNoAddress, isPipe } from '../contract/endpoint.js';
import type { Endpoint, PipeEndpoint } from '../contract/port.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../native/sockaddr.js';
import { AF_INET6, AF_UNIX } from './layout.js';
import { linuxZones } from './zones.js';

/** Bytes of a sockaddr_un, the largest of them. */
export const ADDRESS_SIZE = 110;
const PATH = 2;
/**
 * Before 1.48, which is that of Node.js 20, libuv fills an abstract name up with zeros, which makes another name of it. What
 * shares this process with node:net and the portable backend is to meet them there.
 */
const FILLS_NAMES = isOlder(process.versions.uv, 1, 48);

/** Writes an address at `at` and returns its length. Throws an IocpError for a path that is none. */
export function writeAddress(endpoint: Endpoint | PipeEndpoint, into: Buffer, at: number, action: string): number {
  if (!isPipe(endpoint)) return writeSockaddr(endpoint, into, at, AF_INET6, linuxZones);
  checkPath(endpoint, action);
  const path = Buffer.from(endpoint.path);
  into.fill(0, at, at + ADDRESS_SIZE);
  into.writeUInt16LE(AF_UNIX, at);
  path.copy(into, at + PATH);
  // A path has its end marked. An abstract name is as long as the address says.
  if (path[0] !== 0) return PATH + path.length + 1;
  return FILLS_NAMES ? ADDRESS_SIZE : PATH + path.length;
}

/** Whether a version is before `major`.`minor`. */
function isOlder(version: string, major: number, minor: number): boolean {
  const [first = 0, second = 0] = version.split('.').map(Number);
  return first < major || (first === major && second < minor);
}

/** The text of an address that writeAddress() wrote. */
export function addressText(from: Buffer, at: number): string {
  if (from.readUInt16LE(at) !== AF_UNIX) return endpointText(readSockaddr(from, at, linuxZones));
  const path = from.toString('utf8', at + PATH, at + ADDRESS_SIZE);
  return endpointText({ path: path[0] + path.slice(1).replace(/\0.*/s, '') });
}

/** An address of the kernel's, which is SOCKADDR_SIZE bytes or less. Throws an IocpError for a local socket's. */
export function readAddress(from: Buffer, syscall: string): Endpoint {
  if (from.readUInt16LE(0) === AF_UNIX) throw hasNoAddress(syscall);
  return readSockaddr(from.subarray(0, SOCKADDR_SIZE), 0, linuxZones);
}
