// What the operations' files share: their numbers in user_data, and filling in packets.

import type { IocpError } from '../../contract/errors.js';
import type { CompletionPacket, Operation, Overlapped, PortSocket } from '../../contract/port.js';

/** Operations of the port's own, numbered after those of the contract. */
export const WAKE = 8;
export const CANCEL = 9;
export const LOOP = 10;
export const ROOM = 11;
export const THREAD_END = 12;
export const RELEASE = 13;

export function fill(
  packet: CompletionPacket,
  operation: Operation,
  key: unknown,
  event: Overlapped | null,
  socket: PortSocket | null,
  bytes: number,
  error: IocpError | null,
): void {
  packet.operation = operation;
  packet.key = key;
  packet.event = event;
  packet.socket = socket;
  packet.bytes = bytes;
  packet.handle = -1;
  packet.data = null;
  packet.buffer = -1;
  packet.error = error;
  packet.from = null;
}
