// Closing sockets that get no session.

import type { PortSocket } from '@overlapped/iocp-native';
import { type CompletionOwner, type IocpCore, onCompletion } from '@overlapped/net-core';

/** The owner of sockets whose Close packet needs no action. */
export const ignored: CompletionOwner = { [onCompletion]() {} };

/** Resets a connection. Returns false: the connection is refused. */
export function reset(core: IocpCore, socket: PortSocket): false {
  socket.key = ignored;
  core.port.close(socket, true);
  return false;
}
