// Part of the contract: where a socket is, and its options. The options are declared here, with their types and ranges. Each
// backend has a table that maps an option to its kernel.

import { bool, type Checks, checkOptions, whole, wrongType } from '../options.js';

/** An IP address and a port. `endpoint()` makes one. */
export interface Endpoint {
  /** As people write it: `127.0.0.1`, `::1`. */
  readonly address: string;
  /** 6 for anything with a colon. */
  readonly family: 4 | 6;
  /** 0 to 65535. */
  readonly port: number;
}

/**
 * A local socket, as node:net names one: a Unix-domain socket's file, on Linux also an abstract name (which begins with
 * "\0"), or on Windows a named pipe, `\\.\pipe\NAME`. For their limits see `CompletionPort.listen`.
 */
export interface PipeEndpoint {
  /** At most 107 bytes on Linux, 103 on macOS, 256 for a pipe. */
  readonly path: string;
}

/** Probes of an idle connection, in seconds. The default of each is the system's. */
export interface KeepAlive {
  /** Seconds of idleness before the first probe. */
  readonly idle: number;
  /** Seconds between probes that are not answered (TCP_KEEPINTVL). ENOTSUP where the port is not `native`. */
  readonly interval?: number;
  /** Probes that are not answered before the connection is broken (TCP_KEEPCNT). ENOTSUP where the port is not `native`. */
  readonly count?: number;
}

/** The options of a connection. A local socket has the sizes of the buffers only, and ignores the others. */
export interface SocketOptions {
  /** TCP_NODELAY. Default true: a completion port sends at once. */
  readonly noDelay?: boolean;
  /** SO_KEEPALIVE; a number is that of idle seconds before the first probe. Default: off. */
  readonly keepAlive?: number | KeepAlive;
  /**
   * SO_SNDBUF: bytes that the kernel holds for the peer; Linux takes twice as many, for its own bookkeeping. Default: as
   * the system thinks fit, which mostly is better. ENOTSUP where the port is not `native`.
   */
  readonly sendBufferSize?: number;
  /** SO_RCVBUF: bytes that the kernel holds for us, which is the window that the peer has. The rest as above. */
  readonly receiveBufferSize?: number;
  /**
   * IP_TOS, or IPV6_TCLASS on IPv6: the byte of each packet's header that has the DSCP in its upper 6 bits, 0 to 255. Default: 0.
   * ENOTSUP but on Linux: Windows marks packets by its QoS policies only, and node:net has no such option.
   */
  readonly tos?: number;
}

/** The options of a UDP socket. */
export interface DatagramSocketOptions {
  /** SO_BROADCAST: lets the socket send to a broadcast address, which fails with EACCES otherwise. Default false. */
  readonly broadcast?: boolean;
  /** As in SocketOptions. */
  readonly tos?: number;
}

/** The options of all kinds of sockets. */
export type AnySocketOptions = SocketOptions & DatagramSocketOptions;
/** The name of an option. */
export type SocketOptionName = keyof AnySocketOptions;
/** The value of an option of any name. */
export type SocketOptionValue = Required<AnySocketOptions>[SocketOptionName];

/** The rule of each option of a connection. */
export const socketOptionChecks: Checks<SocketOptions> = {
  noDelay: bool,
  keepAlive: checkKeepAlive,
  sendBufferSize: whole(1, 2 ** 31 - 1),
  receiveBufferSize: whole(1, 2 ** 31 - 1),
  tos: whole(0, 255),
};

/** The rule of each option of a UDP socket. */
export const datagramOptionChecks: Checks<DatagramSocketOptions> = { broadcast: bool, tos: whole(0, 255) };

/** The names of all options, by the kind of socket that has them. */
export const SOCKET_OPTIONS = Object.keys(socketOptionChecks) as readonly (keyof SocketOptions)[];
export const DATAGRAM_OPTIONS = Object.keys(datagramOptionChecks) as readonly (keyof DatagramSocketOptions)[];
/** The options that a local socket has. It ignores the others. */
const LOCAL_OPTIONS: readonly SocketOptionName[] = ['sendBufferSize', 'receiveBufferSize'];

/** The value that a socket has from its start; undefined for the system's default. */
export function initialValue(options: AnySocketOptions, name: SocketOptionName): SocketOptionValue | undefined {
  return options[name] ?? (name === 'noDelay' ? true : undefined);
}

/** Sets one option of a handle, by the kernel's own call. Throws an IocpError. */
export type ApplyOption = (handle: number, name: SocketOptionName, value: SocketOptionValue, action: string) => void;

/** Sets those of the options that are given: `names` are the ones that the kind of socket has. Throws an IocpError. */
export function applyOptions(
  apply: ApplyOption,
  handle: number,
  options: AnySocketOptions,
  names: readonly SocketOptionName[],
  action: string,
): void {
  for (const name of names) {
    const value = initialValue(options, name);
    if (value !== undefined) apply(handle, name, value, action);
  }
}

/** Whether a local socket ignores the option. */
export function isOfNetwork(name: SocketOptionName): boolean {
  return !LOCAL_OPTIONS.includes(name);
}

/** Accepted connections have the options of their listener. */
export interface ListenOptions extends SocketOptions {
  /** Connections that the kernel may hold until they are accepted. Default 4096, cut by the system's own limit. */
  readonly backlog?: number;
  /** For an IPv6 address: refuse IPv4 clients. Default false (dual stack). */
  readonly ipv6Only?: boolean;
  /**
   * Accepts bring connections that are associated with no port: `socket` is null and `handle` is the OS's handle, which
   * the taker of the packet owns from then on. Any thread's port may adopt() it; closeHandle() ends it. Default false.
   * ENOTSUP where the port is not `native`.
   */
  readonly detached?: boolean;
  /**
   * SO_REUSEPORT: any number of listeners, each with this option, may share the address, and the kernel spreads
   * connections over them. Default false. ENOTSUP but on Linux.
   */
  readonly reusePort?: boolean;
}

/** The options that a UDP socket has from its start. */
export interface DatagramOptions extends DatagramSocketOptions {
  /** Connects the socket: it sends there alone, and receives from there alone. Default: neither. */
  readonly remote?: Endpoint;
  /** For an IPv6 address: no IPv4 peers. Default false (dual stack). */
  readonly ipv6Only?: boolean;
}

const keepAliveChecks: Checks<KeepAlive> = { idle: whole(0, 32767), interval: whole(1, 32767), count: whole(1, 127) };

function checkKeepAlive(value: unknown, name: string): void {
  if (typeof value === 'number') whole(0, 32767)(value, name);
  else if (typeof value === 'object' && value !== null) checkOptions(value, keepAliveChecks, name);
  else throw wrongType(name, 'a number of seconds, or an object', value);
}
