// Addresses of connections: how they are asked for, and how they are compared with lists.

import type { BlockList } from 'node:net';
import { type Endpoint, isIocpError, type PortSocket } from '@overlapped/iocp-native';
import type { AddressList } from './accept/accept-filter.js';

/** Runs `ask` on a socket; undefined when the connection is gone. */
export function endpointOf(socket: PortSocket | null, ask: 'remoteEndpoint' | 'localEndpoint'): Endpoint | undefined {
  try {
    return socket?.[ask]();
  } catch (error) {
    if (isIocpError(error)) return undefined;
    throw error;
  }
}

/** An address without the prefix of an IPv4 client of a dual-stack listener, for whom rules and counts are those of IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** @param list of a listener, whose arrays have become BlockLists. */
export function isListed(list: AddressList, address: string): boolean {
  // Rules are for addresses on any link.
  const plain = plainAddress(address).replace(/%.*/, '');
  return (list as BlockList).check(plain, plain.includes(':') ? 'ipv6' : 'ipv4');
}
