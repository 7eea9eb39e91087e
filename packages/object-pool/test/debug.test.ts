// Debug mode: what pools say of memory that is used past its time or beyond its end. OVERLAPPED_DEBUG is read when the
// packages are loaded, so this file sets it before.

import { EVENT_SIZE, Operation } from '@overlapped/iocp-native';
import { POISON } from '@overlapped/iocp-native/internal';
import { expect, test, vi } from 'vitest';
import { BufferPool, IocpEventPool, ObjectPool, Slab } from '../src/index.js';
import { testBlock } from './support.js';

vi.hoisted(() => {
  process.env.OVERLAPPED_DEBUG = '1';
});

const SIZE = 48;
const CAPACITY = 3;

function guardedSlab(): Slab {
  return new Slab(testBlock(Slab.bytesFor(SIZE, CAPACITY)), SIZE, CAPACITY);
}

/** The message of the error that `bug` throws. */
function told(bug: () => void): string {
  try {
    bug();
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail('nothing was noticed');
}

// Their names are looked for in stacks.
function borrow(slab: Slab): number {
  return slab.acquire();
}

function giveBack(slab: Slab, index: number): void {
  slab.release(index);
}

test('a view that is kept past its release reads poison', () => {
  const pool = new BufferPool(testBlock(Slab.bytesFor(SIZE, CAPACITY)), SIZE, CAPACITY);
  const index = pool.acquire();
  const view = pool.bytes(index).fill(7);
  pool.release(index);
  expect(view.equals(Buffer.alloc(SIZE, POISON))).toBe(true);
});

test('a write past the end of a slot is told when the slot is released, with who had it', () => {
  const slab = guardedSlab();
  const index = borrow(slab);
  slab.block.bytes[slab.offsetOf(index) + SIZE + 2] = 1;
  const message = told(() => giveBack(slab, index));
  expect(message).toContain(`byte ${SIZE + 2} of slot ${index}, of ${SIZE} bytes, was written`);
  expect(message).toMatch(/acquired:[\s\S]*borrow[\s\S]*released:[\s\S]*giveBack/);
  expect(slab.out).toBe(0);
});

test('a write into a slot that is free is told by its next acquire', () => {
  const slab = guardedSlab();
  const index = borrow(slab);
  giveBack(slab, index);
  slab.block.bytes[slab.offsetOf(index) + 5] = 1;
  expect(told(() => slab.acquire())).toMatch(/^byte 5 of slot 0 was written after its release:[\s\S]*giveBack/);
});

test('a slot that is released twice names where it was acquired, and where it was released', () => {
  const slab = guardedSlab();
  const index = borrow(slab);
  giveBack(slab, index);
  expect(told(() => slab.release(index))).toMatch(
    /which is not out\n {2}acquired:[\s\S]*borrow[\s\S]*released:[\s\S]*giveBack/,
  );
});

test('a leak names where it was acquired', () => {
  const slab = guardedSlab();
  borrow(slab);
  expect(told(() => slab.assertEmpty('slots'))).toMatch(/^1 of 3 slots are out\n slot 0:[\s\S]*acquired:[\s\S]*borrow/);
});

test('of many leaks a few are told, and how many more there are', () => {
  const slab = new Slab(testBlock(Slab.bytesFor(SIZE, 8)), SIZE, 8);
  for (let i = 0; i < 8; i++) borrow(slab);
  expect(told(() => slab.assertEmpty('slots'))).toMatch(/\n and 3 more$/);
});

test('an event that is released late is told from that of the next owner', () => {
  const pool = new IocpEventPool<string>(testBlock(Slab.bytesFor(EVENT_SIZE, 1)), 1);
  const first = pool.acquire('ann', Operation.Send)!;
  const { tag } = first;
  pool.release(first);
  const second = pool.acquire('bob', Operation.Send)!;
  expect(second.tag).not.toBe(tag);
  expect(told(() => pool.release(first))).toMatch(/^release of event 0, which was released before\n {2}acquired/);
  expect(second.owner).toBe('bob');
  pool.release(second);
  pool.assertEmpty();
});

test('a packet of an event that was released names who had it', () => {
  const pool = new IocpEventPool<string>(testBlock(Slab.bytesFor(EVENT_SIZE, 1)), 1);
  const event = pool.acquire('ann', Operation.Send)!;
  pool.release(event);
  expect(told(() => event.owner)).toMatch(/^use of event 0, which was released\n {2}acquired:[\s\S]*\n {2}released:/);
});

test('an object that is released twice, or not at all, names who had it', () => {
  const pool = new ObjectPool({ create: () => ({}), capacity: 2 });
  const object = pool.acquire()!;
  expect(told(() => pool.assertEmpty())).toMatch(/the oldest a Object\n {2}acquired:[\s\S]*debug\.test/);
  pool.release(object);
  expect(told(() => pool.release(object))).toMatch(/^release of an object twice\n {2}acquired:[\s\S]*released:/);
});

test('a block without room for guards has none, and is poisoned all the same', () => {
  const slab = new Slab(testBlock(4096), 2048, 2);
  expect(slab.offsetOf(1)).toBe(2048);
  const index = slab.acquire();
  slab.release(index);
  expect(slab.block.bytes[slab.offsetOf(index)]).toBe(POISON);
});
