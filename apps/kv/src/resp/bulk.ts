// Bulk strings in the form in which they are sent: `$3 CR LF foo CR LF`. Values are stored like this, so that sending one
// is a copy, or none.

const CR = 13;
const LF = 10;
const DOLLAR = 0x24;
const ZERO = 0x30;
/** Up to here a loop copies faster than a call. */
const FEW = 48;

/** Copies bytes into a new bulk string. */
export function encodeBulk(bytes: Buffer, start: number, end: number): Buffer {
  const length = end - start;
  const size = bulkSize(length);
  // Small ones share memory, of which any one keeps 8 KiB: a copy in memory of its own would cost more for each.
  const bulk = Buffer.allocUnsafe(size);
  bulk[0] = DOLLAR;
  const body = size - length - 2;
  writeDigits(bulk, 1, body - 2, length);
  bulk[body - 2] = CR;
  bulk[body - 1] = LF;
  copyBytes(bytes, start, end, bulk, body);
  bulk[size - 2] = CR;
  bulk[size - 1] = LF;
  return bulk;
}

/** Bytes of the bulk string of `length` bytes. No two lengths have the same. */
export function bulkSize(length: number): number {
  return length + countDigits(length) + 5;
}

/** Where the bytes themselves start; they end two before the end. */
export function bodyOf(bulk: Buffer): number {
  return bulk.indexOf(LF) + 1;
}

export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > FEW) {
    from.copy(to, at, start, end);
    return;
  }
  for (let i = start, j = at; i < end; ) to[j++] = from[i++]!;
}

/** Decimal digits of a natural number. */
export function countDigits(value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  return digits;
}

/** Writes a natural number into the places from `start` to `end`, as many as it has digits. */
export function writeDigits(to: Buffer, start: number, end: number, value: number): void {
  let rest = value;
  for (let at = end - 1; at >= start; at--) {
    const tenth = Math.floor(rest / 10);
    to[at] = ZERO + (rest - tenth * 10);
    rest = tenth;
  }
}
