// Resolution of hosts: a name or an address that a caller gave.

import { lookup } from 'node:dns/promises';
import { type Endpoint, endpoint, IocpError, isIocpError } from '@overlapped/iocp-native';

/**
 * Opens a socket at an address of `host`. Without a host the address is `::`, or `0.0.0.0` on a system without IPv6. Rejects as
 * addressOf() or `open` does.
 */
export async function openLocal<Opened>(
  host: string | undefined,
  port: number,
  open: (local: Endpoint) => Promise<Opened>,
): Promise<Opened> {
  if (host !== undefined) return open(endpoint(await addressOf(host), port));
  return open(endpoint('::', port)).catch((error: unknown) => {
    const noIPv6 = isIocpError(error) && (error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL');
    if (!noIPv6) throw error;
    return open(endpoint('0.0.0.0', port));
  });
}

/** The address that the resolver prefers. Rejects with an IocpError (EINVAL) for an empty name, or with the resolver's error. */
export async function addressOf(host: string): Promise<string> {
  return needsNoResolver(host) ? host : (await lookup(host)).address;
}

/** All addresses of a host, in the resolver's order. Rejects as addressOf() does. */
export async function addressesOf(host: string): Promise<string[]> {
  if (needsNoResolver(host)) return [host];
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map(({ address }) => address);
}

/** True for an address with a zone ("%eth0"), which the resolver may drop. No name has a "%". */
function needsNoResolver(host: string): boolean {
  // The resolver would give this machine's address for these, or neither an address nor an error.
  if (typeof host === 'string' && host !== '') return host.includes('%');
  const given = host === '' ? 'an empty text' : host;
  throw new IocpError('resolve the host', `it must be a name or an address, not ${given}`, 'EINVAL', 'lookup');
}
