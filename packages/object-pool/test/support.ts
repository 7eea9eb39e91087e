// What the tests share: blocks of ordinary memory under a made-up address (no kernel reads it here), and small helpers.

import { AssertionError } from 'node:assert';
import type { NativeBlock } from '@overlapped/iocp-native';

const PAGE = 4096;
const ADDRESS = 0x7f00_0000_0000;

export function testBlock(bytes: number): NativeBlock {
  const size = Math.ceil(bytes / PAGE) * PAGE;
  const view = new ArrayBuffer(size);
  return { address: ADDRESS, size, bytes: Buffer.from(view), words: new Uint32Array(view) };
}

/** One of `items`, chosen by a number that fast-check made. */
export function pick<T>(items: readonly T[], choice: number): T {
  return items[choice % items.length]!;
}

/** The AssertionError of `assert.fail(message)`. */
export function bug(message: string): AssertionError {
  return new AssertionError({ message, operator: 'fail' });
}
