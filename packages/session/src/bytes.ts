// What a caller gives to be sent. A length that is no array's must not get as far as the kernel.

import { isUint8Array } from 'node:util/types';

/** The bytes of what is sent. Throws a TypeError for what is neither text nor bytes. */
export function bytesOf(data: Uint8Array | string): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  if (!isUint8Array(data)) throw new TypeError('what is sent must be a string, a Buffer or a Uint8Array');
  return data;
}
