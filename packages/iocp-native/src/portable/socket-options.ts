// The options of sockets, as node:net and node:dgram have them: some are set when a socket is made, and some later.

import type { Socket as DatagramSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import {
  type AnySocketOptions,
  DATAGRAM_OPTIONS,
  type DatagramSocketOptions,
  initialValue,
  isOfNetwork,
  type KeepAlive,
  SOCKET_OPTIONS,
  type SocketOptionName,
  type SocketOptions,
  type SocketOptionValue,
} from '../contract/options.js';
import { hasNoOption } from './errors.js';

/** The function of Node for each option. An option without one is refused: ENOTSUP. */
interface NodeOption<Value> {
  /** The options of createConnection() and createServer() that set it. */
  readonly at?: (value: Value, action: string) => object;
  /** Sets it on a connection. */
  readonly set?: (raw: Socket, value: Value, action: string) => void;
  /** Sets it on a UDP socket. */
  readonly setDatagrams?: (raw: DatagramSocket, value: Value) => void;
}

const table: { readonly [Name in SocketOptionName]-?: NodeOption<Required<AnySocketOptions>[Name]> } = {
  noDelay: {
    at: (noDelay) => ({ noDelay }),
    set: (raw, on) => raw.setNoDelay(on),
  },
  keepAlive: {
    at(value, action) {
      const seconds = idleSeconds(value, action);
      return { keepAlive: seconds > 0, keepAliveInitialDelay: seconds * 1000 };
    },
    set(raw, value, action) {
      const seconds = idleSeconds(value, action);
      raw.setKeepAlive(seconds > 0, seconds * 1000);
    },
  },
  sendBufferSize: {},
  receiveBufferSize: {},
  tos: {},
  broadcast: { setDatagrams: (raw, on) => raw.setBroadcast(on) },
};
const options = table as { readonly [Name in SocketOptionName]: NodeOption<SocketOptionValue> };

/**
 * The options of a connection or of a server of node:net, which is a local one or not. Throws an IocpError (ENOTSUP) for an
 * option that node:net lacks.
 */
export function nodeOptions(given: SocketOptions, local: boolean, action: string): object {
  const made = {};
  for (const name of SOCKET_OPTIONS) {
    const value = initialValue(given, name);
    if (value === undefined || (local && isOfNetwork(name))) continue;
    const { at } = options[name];
    if (at === undefined) throw hasNoOption(action);
    Object.assign(made, at(value, action));
  }
  return made;
}

/** Sets an option of a connection. Throws an IocpError (ENOTSUP) for an option that node:net lacks. */
export function setOption(raw: Socket, name: SocketOptionName, value: SocketOptionValue, action: string): void {
  const { set } = options[name];
  if (set === undefined) throw hasNoOption(action);
  set(raw, value, action);
}

/** Sets an option of a UDP socket. Throws an IocpError (ENOTSUP) for an option that node:dgram lacks. */
export function setDatagramOption(
  raw: DatagramSocket,
  name: SocketOptionName,
  value: SocketOptionValue,
  action: string,
): void {
  const { setDatagrams } = options[name];
  if (setDatagrams === undefined) throw hasNoOption(action);
  setDatagrams(raw, value);
}

/** Sets the options that a UDP socket has from its start. */
export function setDatagramOptions(raw: DatagramSocket, given: DatagramSocketOptions, action: string): void {
  for (const name of DATAGRAM_OPTIONS) {
    const value = given[name];
    if (value !== undefined) setDatagramOption(raw, name, value, action);
  }
}

/** node:net takes the idle time only. Throws an IocpError (ENOTSUP) for more. */
function idleSeconds(keepAlive: number | KeepAlive, action: string): number {
  if (typeof keepAlive === 'number') return keepAlive;
  if (keepAlive.interval !== undefined || keepAlive.count !== undefined) throw hasNoOption(action);
  return keepAlive.idle;
}
