// What the tests share: blocks of ordinary memory under a made-up address (no kernel reads it here), and small helpers.

import type { NativeBlock } from '@overlapped/iocp-native';
import { debugging } from '@overlapped/iocp-native/debug';
import { expect } from 'vitest';

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

/** The AssertionError of `assert.fail(message)`. In debug mode stacks follow. */
export function bug(message: string): unknown {
  const escaped = message.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const whole = expect.stringMatching(new RegExp(`^${escaped}${debugging ? '(\n|$)' : '$'}`));
  return expect.objectContaining({ name: 'AssertionError', message: whole });
}
