// The addresses of a connection, in the forms that node:net has, too.

import type { BlockList } from 'node:net';
import { type Endpoint, isIocpError, type PortSocket } from '@overlapped/iocp-native';

/** Addresses are asked of the OS whenever they are needed. Undefined once the connection is gone. */
export abstract class Endpoints {
  /** The peer; behind a proxy that is trusted, the client. */
  abstract get remote(): Endpoint | undefined;
  abstract get local(): Endpoint | undefined;

  get remoteAddress(): string | undefined {
    return this.remote?.address;
  }

  get remotePort(): number | undefined {
    return this.remote?.port;
  }

  get localAddress(): string | undefined {
    return this.local?.address;
  }

  get localPort(): number | undefined {
    return this.local?.port;
  }
}

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

export function isListed(list: BlockList, address: string): boolean {
  const plain = plainAddress(address);
  return list.check(plain, plain.includes(':') ? 'ipv6' : 'ipv4');
}
