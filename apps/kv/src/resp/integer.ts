// Integers as the protocol writes them: 64 bits, and one way only to write each.

const MINUS = 0x2d;
const ZERO = 0x30;
/** Digits that a number always holds exactly. */
const SAFE_DIGITS = 15;
const LONGEST = '-9223372036854775808'.length;

export const LEAST = -(2n ** 63n);
export const MOST = 2n ** 63n - 1n;

/** The integer in these bytes, or null: no signs but a minus, no leading zeros, no spaces. A bigint only past 2^53. */
export function parseInteger(bytes: Uint8Array, start: number, end: number): number | bigint | null {
  const negative = bytes[start] === MINUS && start < end;
  const first = negative ? start + 1 : start;
  const digits = end - first;
  if (digits < 1 || end - start > LONGEST) return null;
  if (bytes[first] === ZERO) return digits === 1 && !negative ? 0 : null;
  let value = 0;
  for (let at = first; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  if (digits <= SAFE_DIGITS) return negative ? -value : value;
  return parseLong(String.fromCharCode(...bytes.subarray(start, end)));
}

function parseLong(text: string): number | bigint | null {
  const exact = BigInt(text);
  if (exact < LEAST || exact > MOST) return null;
  const value = Number(exact);
  return Number.isSafeInteger(value) ? value : exact;
}
