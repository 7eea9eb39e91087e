// The bench's bytes: any change of them is found, at its place.

import { describe, expect, test } from 'vitest';
import { Pattern } from '../src/pattern.js';

const pattern = new Pattern(1000);

/** A stretch of a connection's stream that is longer than the pattern gives at once. */
function stream(connection: number, offset: number, length: number): Buffer {
  const pieces = [];
  for (let done = 0; done < length; done += 1000) {
    pieces.push(pattern.at(connection, offset + done, Math.min(1000, length - done)));
  }
  return Buffer.concat(pieces);
}

describe('a stream', () => {
  test('is itself from any offset, also past its period', () => {
    for (const offset of [0, 1, 999, 65520, 65521, 200_000]) {
      expect(pattern.difference(3, offset, stream(3, offset, 2500))).toBe(-1);
    }
  });

  test('shows each changed byte', () => {
    for (const at of [0, 1, 999, 1000, 2499]) {
      const data = stream(3, 65000, 2500);
      data[at] = data[at]! ^ 0x80;
      expect(pattern.difference(3, 65000, data)).toBe(at);
    }
  });

  test('is not that of another connection, nor itself one byte further on', () => {
    expect(pattern.difference(4, 0, stream(3, 0, 64))).toBeGreaterThanOrEqual(0);
    expect(pattern.difference(3, 1, stream(3, 0, 64))).toBeGreaterThanOrEqual(0);
  });
});
