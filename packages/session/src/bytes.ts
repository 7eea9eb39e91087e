// Checks of bytes that a caller sends. An object may lie about itself (a subclass with getters of its own), so its position and
// length are read from its internal slots, and a view of a receive buffer is limited to the bytes received.

import { isUint8Array } from 'node:util/types';
import { byteOffsetOf, lengthOf, memoryOf, plainView } from '@overlapped/iocp-native/internal';
import { borrowed } from './borrowed.js';

/**
 * The bytes to send. Throws a TypeError for anything but a string, a Buffer or a Uint8Array. A view of the memory of borrowed
 * bytes, such as `new Uint8Array(data.buffer)`, is cut at their end: the rest of the receive buffer is not the caller's.
 */
export function bytesOf(data: Uint8Array | string): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  if (!isUint8Array(data)) throw new TypeError('what is sent must be a string, a Buffer or a Uint8Array');
  const lent = borrowed.data;
  if (lent === null || data === lent || memoryOf(data) !== memoryOf(lent)) return data;
  const left = Math.max(0, lengthOf(lent) - byteOffsetOf(data));
  return lengthOf(data) <= left ? data : plainView(data, left);
}

/** bytesOf() as a plain Uint8Array, for Node's own functions to read; empty if the memory was detached. */
export function plainBytesOf(data: Uint8Array | string): Uint8Array {
  const bytes = bytesOf(data);
  try {
    return plainView(bytes, lengthOf(bytes));
  } catch {
    return new Uint8Array(0);
  }
}

/** A copy in an ArrayBuffer of its own. A small Buffer of Node's pool would show other buffers' bytes through `data.buffer`. */
export function ownCopy(data: Uint8Array): Buffer {
  const copy = Buffer.alloc(lengthOf(data));
  copy.set(data);
  return copy;
}
