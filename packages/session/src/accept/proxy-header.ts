// The PROXY protocol, versions 1 and 2: a header with the client's address, which a proxy sends first on a connection. The
// reader is a function of the bytes received so far. https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
//
//   v1:  PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 CR LF
//   v2:  0            12              13                14      16
//        | signature  | version, command | family, type | length | addresses, then TLVs, which are skipped |

import { isIPv4, isIPv6 } from 'node:net';
import { type Endpoint, endpoint, IocpError } from '@overlapped/iocp-native';

export interface ProxyHeader {
  /** Bytes of the header. Bytes after it are the client's. */
  readonly length: number;
  /** The client; null if the proxy connects for itself (LOCAL), or the client has no IP address (UNKNOWN, UNSPEC, UNIX). */
  readonly source: Endpoint | null;
}

const SIGNATURE_1 = Buffer.from('PROXY ');
const SIGNATURE_2 = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
/** The longest line of version 1, with its CR LF (section 2.1). */
const LONGEST_LINE = 107;
/** Bytes before the addresses of version 2. */
const FIXED = 16;
const LOCAL = 0x20;
const PROXY = 0x21;
const INET = 1;
const INET6 = 2;
const UNIX = 3;
/** Bytes that each address family needs, both ends and their ports. */
const ADDRESS_BYTES = [0, 12, 36, 216];
const DGRAM = 2;

/**
 * The header at the start of the bytes; null if more bytes are needed. Throws an IocpError (EPROTO) as soon as the bytes cannot
 * become a header.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | null {
  if (startsLike(bytes, SIGNATURE_2)) return readBinary(bytes);
  if (startsLike(bytes, SIGNATURE_1)) return readLine(bytes);
  throw malformed('it begins with neither signature');
}

/** Whether the bytes are a signature, or the start of one. */
function startsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

function readLine(bytes: Buffer): ProxyHeader | null {
  const end = bytes.subarray(0, LONGEST_LINE).indexOf('\r\n');
  if (end < 0) {
    if (bytes.length >= LONGEST_LINE) throw malformed(`its line has no end within ${LONGEST_LINE} bytes`);
    return null;
  }
  const length = end + 2;
  const words = bytes.toString('latin1', SIGNATURE_1.length, end).split(' ');
  if (words[0] === 'UNKNOWN') return { length, source: null };
  const [family, source = '', target = '', sourcePort = '', targetPort = ''] = words;
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  const known = family === 'TCP4' || family === 'TCP6';
  if (words.length !== 5 || !known || !isAddress(source) || !isAddress(target))
    throw malformed('its line is not in form');
  if (source.includes('%') || target.includes('%')) throw malformed('its address has a zone');
  readPort(targetPort);
  const address = family === 'TCP6' ? canonical(source) : source;
  return { length, source: endpoint(address, readPort(sourcePort)) };
}

function readPort(text: string): number {
  const port = /^(0|[1-9]\d{0,4})$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65535)) throw malformed('its line has no port where one belongs');
  return port;
}

function readBinary(bytes: Buffer): ProxyHeader | null {
  const command = bytes[12] ?? LOCAL;
  if (command !== LOCAL && command !== PROXY) throw malformed(`its version and command are 0x${command.toString(16)}`);
  const kind = bytes[13] ?? 0;
  const family = kind >> 4;
  if (command === PROXY && (family > UNIX || (kind & 0xf) > DGRAM)) {
    throw malformed(`its family and type are 0x${kind.toString(16)}`);
  }
  if (bytes.length < FIXED) return null;
  const rest = bytes.readUInt16BE(14);
  // A header of an unspecified type may have no addresses.
  const addressed = command === PROXY && (kind & 0xf) !== 0;
  if (addressed && rest < ADDRESS_BYTES[family]!) throw malformed(`${rest} bytes do not hold its addresses`);
  const length = FIXED + rest;
  if (bytes.length < length) return null;
  return { length, source: addressed ? readSource(bytes, family) : null };
}

function readSource(bytes: Buffer, family: number): Endpoint | null {
  if (family === INET) return endpoint(bytes.subarray(FIXED, FIXED + 4).join('.'), bytes.readUInt16BE(FIXED + 8));
  if (family !== INET6) return null;
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(FIXED + 2 * i).toString(16));
  return endpoint(canonical(words.join(':')), bytes.readUInt16BE(FIXED + 32));
}

/** The canonical text of an IPv6 address, as the operating system gives it for a socket: a mapped IPv4 address has dots. */
function canonical(address: string): string {
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(text);
  if (mapped === null) return text;
  const bits = Number.parseInt(mapped[1]!, 16) * 0x10000 + Number.parseInt(mapped[2]!, 16);
  return `::ffff:${[24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.')}`;
}

function malformed(reason: string): IocpError {
  return new IocpError('read the PROXY header', reason, 'EPROTO', 'receive');
}
