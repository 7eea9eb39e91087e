// Addresses that are connected or sent to, in their sockaddr: the unspecified one, and loopback.

const OF_IPV4 = 4;
const OF_IPV6 = 8;
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');
const LOOPBACK = Buffer.from('00000000000000000000000000000001', 'hex');
const NOWHERE = Buffer.alloc(16);

/** Replaces the unspecified address by loopback. It means this machine on other systems; Windows refuses it (EADDRNOTAVAIL). */
export function reachSelf(bytes: Buffer, at: number, family: 4 | 6): void {
  if (family === 4) {
    if (bytes.readUInt32LE(at + OF_IPV4) === 0) bytes.writeUInt32BE(0x7f000001, at + OF_IPV4);
  } else if (bytes.readUInt32LE(at + OF_IPV6 + 12) === 0 && isAt(bytes, at + OF_IPV6, NOWHERE)) {
    bytes[at + OF_IPV6 + 15] = 1;
  }
}

/** Whether the address is a loopback address. */
export function isLoopback(bytes: Buffer, at: number, family: 4 | 6): boolean {
  if (family === 4) return bytes[at + OF_IPV4] === 127;
  const start = at + OF_IPV6;
  return isAt(bytes, start, LOOPBACK) || (isAt(bytes, start, MAPPED) && bytes[start + MAPPED.length] === 127);
}

function isAt(bytes: Buffer, at: number, what: Buffer): boolean {
  return bytes.compare(what, 0, what.length, at, at + what.length) === 0;
}
