// The addresses of a host that a caller named.

import { lookup } from 'node:dns/promises';
import { IocpError } from '@overlapped/iocp-native';

/** The address that the resolver prefers. Rejects with an IocpError (EINVAL) for what is no name, or as the resolver does. */
export async function addressOf(host: string): Promise<string> {
  return needsNoResolver(host) ? host : (await lookup(host)).address;
}

/** All of its addresses, in the resolver's order. Rejects as addressOf() does. */
export async function addressesOf(host: string): Promise<string[]> {
  if (needsNoResolver(host)) return [host];
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map(({ address }) => address);
}

/** True for an address with a zone, which the resolver may lose. No name has a "%". */
function needsNoResolver(host: string): boolean {
  // The resolver takes these for this machine, or gives no address and no error.
  if (typeof host === 'string' && host !== '') return host.includes('%');
  const given = host === '' ? 'an empty text' : host;
  throw new IocpError('resolve the host', `it must be a name or an address, not ${given}`, 'EINVAL', 'lookup');
}
