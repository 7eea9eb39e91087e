// The socket options among the options of a listener or a connector.

import type { SocketOptions } from '@overlapped/iocp-native';

const NAMES = ['noDelay', 'keepAlive', 'sendBufferSize', 'receiveBufferSize'] as const;

export function socketOptions(options: SocketOptions): SocketOptions {
  const given = NAMES.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
}
