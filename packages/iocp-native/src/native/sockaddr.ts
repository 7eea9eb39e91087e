// Socket addresses in memory: sockaddr_in and sockaddr_in6, which Linux and Windows lay out alike.

import assert from 'node:assert';
import { familyOf } from '../contract/endpoint.js';
import type { Endpoint } from '../contract/port.js';
import { numericZones, type Zones } from './zones.js';

/** The same number everywhere; AF_INET6 is not. */
const AF_INET = 2;
/** Bytes of a sockaddr_in6, the larger of the two. */
export const SOCKADDR_SIZE = 28;
/** Where in a sockaddr_in6 its scope id lies. */
const SCOPE_ID = 24;

/** Asserts that an endpoint is one: endpoint() makes no other. */
export function checkEndpoint({ address, family, port }: Endpoint): void {
  const valid = (family === 4 || family === 6) && familyOf(address) === family;
  assert(valid, `"${address}" is not an IPv${family} address`);
  assert(Number.isInteger(port) && port >= 0 && port <= 65535, `${port} is not a port`);
}

/** Writes a sockaddr_in or sockaddr_in6 at `at` and returns its length. `familyOf6` is the platform's AF_INET6. */
export function writeSockaddr(
  endpoint: Endpoint,
  into: Buffer,
  at: number,
  familyOf6: number,
  zones: Zones = numericZones,
): number {
  checkEndpoint(endpoint);
  into.fill(0, at, at + SOCKADDR_SIZE);
  into.writeUInt16LE(endpoint.family === 6 ? familyOf6 : AF_INET, at);
  into.writeUInt16BE(endpoint.port, at + 2);
  if (endpoint.family === 4) {
    endpoint.address.split('.').forEach((part, i) => {
      into[at + 4 + i] = Number(part);
    });
    return 16;
  }
  const [address, zone] = endpoint.address.split('%');
  ipv6Words(address!).forEach((word, i) => {
    into.writeUInt16BE(word, at + 8 + i * 2);
  });
  if (zone !== undefined) into.writeUInt32LE(zones.indexOf(zone), at + SCOPE_ID);
  return SOCKADDR_SIZE;
}

/** The endpoint in a sockaddr_in or sockaddr_in6. */
export function readSockaddr(from: Buffer, at: number, zones: Zones = numericZones): Endpoint {
  const port = from.readUInt16BE(at + 2);
  if (from.readUInt16LE(at) === AF_INET) {
    return { address: from.subarray(at + 4, at + 8).join('.'), family: 4, port };
  }
  const words = Array.from({ length: 8 }, (_, i) => from.readUInt16BE(at + 8 + i * 2).toString(16));
  // URL knows the canonical text form of an IPv6 address.
  const address = new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1);
  const scope = from.readUInt32LE(at + SCOPE_ID);
  // As node:net does: other addresses mean the same without their zone. fe80::/10
  const zone = scope !== 0 && (from.readUInt16BE(at + 8) & 0xffc0) === 0xfe80 ? `%${zones.nameOf(scope)}` : '';
  return { address: mappedIPv4(from, at) ?? address + zone, family: 6, port };
}

/** `::ffff:1.2.3.4`, the usual form, for an IPv4 client of a dual-stack listener. */
function mappedIPv4(from: Buffer, at: number): string | undefined {
  const mapped = from.readBigUInt64BE(at + 8) === 0n && from.readUInt32BE(at + 16) === 0xffff;
  return mapped ? `::ffff:${from.subarray(at + 20, at + 24).join('.')}` : undefined;
}

function ipv6Words(address: string): number[] {
  // URL turns any text form into hexadecimal words with at most one `::`.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left, right] = text.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const zeros = right ? 8 - left!.length - right.length : 0;
  return [...left!, ...Array<string>(zeros).fill('0'), ...(right ?? [])].map((word) => Number.parseInt(word, 16));
}
