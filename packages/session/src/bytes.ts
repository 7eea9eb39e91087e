// What a caller gives to be sent. Nothing that its object says of itself gets as far as the kernel: it is read by its internal
// slots, and it ends where what was received ends.

import { isUint8Array } from 'node:util/types';
import { byteOffsetOf, lengthOf, memoryOf, plainView } from '@overlapped/iocp-native/internal';

/** The borrowed bytes that a handler of this thread has. They start where their memory does. */
let lent: Buffer | null = null;

/** A handler is given borrowed bytes, or (null) has returned. */
export function lend(data: Buffer | null): void {
  lent = data;
}

/**
 * The bytes of what is sent. Throws a TypeError for what is neither text nor bytes. A view of the memory of borrowed bytes, such
 * as `new Uint8Array(data.buffer)`, ends where they end.
 */
export function bytesOf(data: Uint8Array | string): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  if (!isUint8Array(data)) throw new TypeError('what is sent must be a string, a Buffer or a Uint8Array');
  if (lent === null || data === lent || memoryOf(data) !== memoryOf(lent)) return data;
  const left = Math.max(0, lengthOf(lent) - byteOffsetOf(data));
  return lengthOf(data) <= left ? data : plainView(data, left);
}

/** The same, as nothing but a Uint8Array; an empty one when the memory is gone. For what Node's own functions read. */
export function plainBytesOf(data: Uint8Array | string): Uint8Array {
  const bytes = bytesOf(data);
  try {
    return plainView(bytes, lengthOf(bytes));
  } catch {
    return new Uint8Array(0);
  }
}

/** A copy in memory of its own: a small one of Node's would share its memory with others', which a view of it would show. */
export function ownCopy(data: Uint8Array): Buffer {
  const copy = Buffer.alloc(lengthOf(data));
  copy.set(data);
  return copy;
}
