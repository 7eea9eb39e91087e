// The user_data of operations, which the kernel sends back with each of their completions: two words.
//
//   low    the socket's slot in the port's table (24 bits), the operation (8 bits)
//   high   the event's tag; for a close, which has no event, the descriptor

import type { Ring } from './ring.js';
import type { UringSocket } from './socket.js';
import { prepCancel, setUserData } from './submissions.js';

/** Operations of the driver's own. Their numbers follow those of the contract. */
export const WAKE = 8;
export const CANCEL = 9;
export const LOOP = 10;
export const WRITABLE = 11;
export const THREAD_END = 12;
const CANCEL_OWN = 13;

const OPERATION_SHIFT = 24;
const INDEX_MASK = 0xffffff;

export function operationOf(low: number): number {
  return low >>> OPERATION_SHIFT;
}

export function indexOf(low: number): number {
  return low & INDEX_MASK;
}

/** Says whose operation an entry is. */
export function setOwner(ring: Ring, at: number, socket: UringSocket, operation: number, tag: number): void {
  setUserData(ring, at, socket.index | (operation << OPERATION_SHIFT), tag);
}

/** The same for an operation of the driver's own. */
export function setOwnOperation(ring: Ring, at: number, operation: number): void {
  setUserData(ring, at, operation << OPERATION_SHIFT, 0);
}

/**
 * Asks the kernel to end an operation, which then completes. The cancel itself completes only when the kernel has not found the
 * operation. The kernel finds it by its user_data in a hash table; by a descriptor it would search all operations.
 */
export function cancelOperation(ring: Ring, socket: UringSocket, operation: number, tag: number): void {
  const at = prepCancel(ring, socket.index | (operation << OPERATION_SHIFT), tag);
  setOwner(ring, at, socket, CANCEL, tag);
}

/** The same for an operation of the driver's own. When the kernel has not found it, nothing follows from that. */
export function cancelOwnOperation(ring: Ring, operation: number): void {
  setOwnOperation(ring, prepCancel(ring, operation << OPERATION_SHIFT, 0), CANCEL_OWN);
}
