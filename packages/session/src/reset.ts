// Connections that get no session.

import type { PortSocket } from '@overlapped/iocp-native';
import { type CompletionOwner, type IocpCore, onCompletion } from '@overlapped/net-core';

/** Whose Close packet nobody waits for. */
export const ignored: CompletionOwner = { [onCompletion]() {} };

/** Resets a connection. False, as it is refused. */
export function reset(core: IocpCore, socket: PortSocket): false {
  socket.key = ignored;
  core.port.close(socket, true);
  return false;
}
