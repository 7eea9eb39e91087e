// The socket options among the options of a listener, a connector or a datagram session.

import type { AnySocketOptions, DatagramSocketOptions, SocketOptions } from '@overlapped/iocp-native';
import { DATAGRAM_OPTIONS, SOCKET_OPTIONS } from '@overlapped/iocp-native/internal';

export function socketOptions(options: SocketOptions): SocketOptions {
  return given(options, SOCKET_OPTIONS);
}

export function datagramOptions(options: object): DatagramSocketOptions {
  return given(options, DATAGRAM_OPTIONS);
}

function given(options: AnySocketOptions, names: readonly (keyof AnySocketOptions)[]): AnySocketOptions {
  const some = names.filter((name) => options[name] !== undefined);
  return Object.fromEntries(some.map((name) => [name, options[name]]));
}
