// Debug mode: receive buffers are poisoned before the kernel gets them back, and guarded. OVERLAPPED_DEBUG is read when
// the package is loaded, so this file sets it before.

import { describe, expect, it, vi } from 'vitest';
import { POISON, watchOf } from '../src/debug.js';
import { BlockStore, plainMemory } from '../src/native/memory.js';
import { ReceiveBuffers } from '../src/port/receive-buffers.js';

vi.hoisted(() => {
  process.env.OVERLAPPED_DEBUG = '1';
});

const [COUNT, SIZE] = [4, 64];

function open(): ReceiveBuffers {
  const block = new BlockStore(plainMemory).take(ReceiveBuffers.bytesFor(COUNT, SIZE));
  return new ReceiveBuffers(block, COUNT, SIZE);
}

describe('receive buffers in debug mode', () => {
  it('are poisoned when the last reference goes, and not before', () => {
    const buffers = open();
    const view = buffers.take(1, 10).fill(7);
    buffers.retain(1);
    buffers.release(1);
    expect(view[9]).toBe(7);
    expect(buffers.release(1)).toBe(true);
    expect(view.equals(Buffer.alloc(10, POISON))).toBe(true);
  });

  it('tell that somebody wrote past the end', () => {
    const buffers = open();
    buffers.take(2, SIZE);
    buffers.block.bytes[buffers.offsetOf(2) + SIZE] = 1;
    expect(() => buffers.release(2)).toThrow(/^byte 64 of slot 2, of 64 bytes, was written:\n {2}acquired:/);
  });

  it('tell it when the port closes, too', () => {
    const buffers = open();
    buffers.take(0, SIZE);
    const watch = watchOf(buffers.block)!;
    watch.checkGuards();
    buffers.block.bytes[buffers.offsetOf(0) + SIZE + 63] = 1;
    expect(() => watch.checkGuards()).toThrow('byte 127 of slot 0');
  });

  it('name both stacks of a release too many', () => {
    const buffers = open();
    buffers.take(3, 1);
    buffers.release(3);
    expect(() => buffers.release(3)).toThrow(/^release of receive buffer 3, which is not out\n {2}acq[\s\S]*\n {2}rel/);
    expect(() => buffers.retain(3)).toThrow(/^retain of receive buffer 3, which is not out\n {2}acq[\s\S]*\n {2}rel/);
  });

  it('name the place that holds what is out', () => {
    const buffers = open();
    buffers.take(3, 1);
    keep(buffers, 3);
    expect(watchOf(buffers.block)!.report()).toMatch(/^\n slot 3:\n {2}acquired:[\s\S]*keep/);
  });
});

function keep(buffers: ReceiveBuffers, index: number): void {
  buffers.retain(index);
}
