// A request of a client of the lab: its number, and the work of its handler.

export interface Request {
  readonly number: number;
  /** The handler sleeps. Otherwise it computes. */
  readonly blocking: boolean;
  /** Milliseconds to sleep, or steps to compute. */
  readonly amount: number;
}

/** Bytes of a request. */
const SIZE = 12;

export function encode({ number, blocking, amount }: Request): Buffer {
  const bytes = Buffer.alloc(SIZE);
  bytes.writeUInt32LE(number, 0);
  bytes.writeUInt32LE(blocking ? 1 : 0, 4);
  bytes.writeUInt32LE(amount, 8);
  return bytes;
}

export function decode(bytes: Buffer): Request {
  return { number: bytes.readUInt32LE(0), blocking: bytes.readUInt32LE(4) !== 0, amount: bytes.readUInt32LE(8) };
}
