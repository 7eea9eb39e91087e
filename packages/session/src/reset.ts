// Closing sockets that get no session.

import type { PortSocket } from '@overlapped/iocp-native';
import { type CompletionOwner, type Core, onCompletion } from '@overlapped/net-core/internal';

/** The owner of sockets whose Close packet needs no action. */
export const ignored: CompletionOwner = { [onCompletion]() {} };

/** Resets a connection. Returns false: the connection is refused. */
export function reset(core: Core, socket: PortSocket): false {
  socket.key = ignored;
  core.port.close(socket, true);
  return false;
}
