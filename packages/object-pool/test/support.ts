// What the tests share: blocks of a simulated port, which are ordinary memory under made-up addresses, and small helpers.

import type { NativeBlock } from '@overlapped/iocp-native';
import { debugging } from '@overlapped/iocp-native/internal';
import { createSimulation } from '@overlapped/iocp-native/testing';
import { expect } from 'vitest';

const port = createSimulation({ seed: 1 }).openPort();

export function testBlock(bytes: number): NativeBlock {
  return port.allocate(bytes);
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
