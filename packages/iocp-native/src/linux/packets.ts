// Filling in a packet of dequeue()'s batch.

import type { IocpError } from '../contract/errors.js';
import type { CompletionPacket, Operation, Overlapped, PortSocket } from '../contract/port.js';

/** Writes every field: a record keeps nothing of its last packet. */
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
