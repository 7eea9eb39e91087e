// Addresses of connections: asking a socket for them, and comparing them with lists.

import type { BlockList } from 'node:net';
import { type Endpoint, isIocpError, type PortSocket } from '@overlapped/iocp-native';
import type { AddressList } from './accept/accept-filter.js';

/** An endpoint of a socket; undefined if the connection is gone. */
export function endpointOf(socket: PortSocket | null, ask: 'remoteEndpoint' | 'localEndpoint'): Endpoint | undefined {
  try {
    return socket?.[ask]();
  } catch (error) {
    if (isIocpError(error)) return undefined;
    throw error;
  }
}

/** An address without the prefix `::ffff:` of an IPv4 client of a dual-stack listener: rules and counts take it as IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** @param list a BlockList: checkListen() has converted arrays */
export function isListed(list: AddressList, address: string): boolean {
  // Rules have no zones ("%eth0"): they apply to an address on any link.
  const plain = plainAddress(address).replace(/%.*/, '');
  return (list as BlockList).check(plain, plain.includes(':') ? 'ipv6' : 'ipv4');
}
