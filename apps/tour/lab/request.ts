// A request of a client of the lab: its number, and the work of its handler.

import { lengthPrefixed } from '@overlapped/session';

export interface Request {
  readonly number: number;
  /** The handler sleeps. Otherwise it computes. */
  readonly blocking: boolean;
  /** Milliseconds to sleep, or steps to compute. */
  readonly amount: number;
}

/** Bytes of the length of a request, which goes ahead, and of the request. */
const [LENGTH, SIZE] = [2, 12] as const;

export const framer = lengthPrefixed({ size: LENGTH });

export function encode({ number, blocking, amount }: Request): Buffer {
  const bytes = Buffer.alloc(LENGTH + SIZE);
  bytes.writeUInt16BE(SIZE, 0);
  bytes.writeUInt32LE(number, LENGTH);
  bytes.writeUInt32LE(blocking ? 1 : 0, LENGTH + 4);
  bytes.writeUInt32LE(amount, LENGTH + 8);
  return bytes;
}

/** The request of a frame, without its length. */
export function decode(bytes: Buffer): Request {
  return { number: bytes.readUInt32LE(0), blocking: bytes.readUInt32LE(4) !== 0, amount: bytes.readUInt32LE(8) };
}
