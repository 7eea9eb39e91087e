// Slab against a model: which slots are out, and the bytes that their holders wrote into them.

import { AssertionError } from 'node:assert';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Slab } from '../src/index.js';
import { bug, pick, testBlock } from './support.js';

interface Model {
  /** Slots that are out, and the pattern that each was filled with. */
  readonly live: Map<number, number>;
  /** Slots that are free, the one released last at the end. */
  readonly free: number[];
  /** Releases of each slot. */
  readonly generations: number[];
}

interface Step extends fc.Command<Model, Slab> {}

class Acquire implements Step {
  constructor(readonly pattern: number) {}
  check = () => true;
  run(model: Model, slab: Slab): void {
    const expected = model.free.pop() ?? -1;
    const index = slab.acquire();
    expect(index).toBe(expected);
    if (index !== -1) {
      slab.block.bytes.fill(this.pattern, slab.offsetOf(index), slab.offsetOf(index) + slab.size);
      model.live.set(index, this.pattern);
    }
    agree(model, slab);
  }
  toString = () => `acquire(${this.pattern})`;
}

class Release implements Step {
  constructor(readonly choice: number) {}
  check = (model: Model) => model.live.size > 0;
  run(model: Model, slab: Slab): void {
    const index = pick([...model.live.keys()], this.choice);
    slab.release(index);
    model.live.delete(index);
    model.free.push(index);
    model.generations[index]!++;
    agree(model, slab);
  }
  toString = () => `release(${this.choice})`;
}

class ReleaseTwice implements Step {
  constructor(readonly choice: number) {}
  check = (model: Model) => model.free.length > 0;
  run(model: Model, slab: Slab): void {
    expect(() => slab.release(pick(model.free, this.choice))).toThrow(AssertionError);
    agree(model, slab);
  }
  toString = () => `releaseTwice(${this.choice})`;
}

class ReleaseForeign implements Step {
  constructor(readonly index: number) {}
  check = () => true;
  run(model: Model, slab: Slab): void {
    expect(() => slab.release(this.index)).toThrow(AssertionError);
    agree(model, slab);
  }
  toString = () => `releaseForeign(${this.index})`;
}

function agree(model: Model, slab: Slab): void {
  expect(slab.out).toBe(model.live.size);
  for (let index = 0; index < slab.capacity; index++) {
    expect(slab.isLive(index)).toBe(model.live.has(index));
    expect(slab.generationOf(index)).toBe(model.generations[index]);
  }
  // Had two live slots shared a byte, one of the patterns would be broken.
  for (const [index, pattern] of model.live) {
    const start = slab.offsetOf(index);
    const held = slab.block.bytes.subarray(start, start + slab.size);
    expect(held.length).toBe(slab.size);
    expect(held.equals(Buffer.alloc(slab.size, pattern))).toBe(true);
  }
}

const CAPACITY = 6;
const steps = fc.commands(
  [
    fc.integer({ min: 1, max: 255 }).map((pattern) => new Acquire(pattern)),
    fc.nat(100).map((choice) => new Release(choice)),
    fc.nat(100).map((choice) => new ReleaseTwice(choice)),
    fc.constantFrom(-1, 0.5, CAPACITY, 2 ** 31, 2 ** 32, Number.NaN).map((index) => new ReleaseForeign(index)),
  ],
  { maxCommands: 60, size: 'max' },
);

test('a slab agrees with its model, whatever is acquired and released', () => {
  const sizes = fc.integer({ min: 1, max: 20 }).map((n) => n * 16);
  fc.assert(
    fc.property(sizes, steps, (size, commands) => {
      const slab = new Slab(testBlock(size * CAPACITY), size, CAPACITY);
      const model: Model = { live: new Map(), free: [5, 4, 3, 2, 1, 0], generations: new Array(CAPACITY).fill(0) };
      fc.modelRun(() => ({ model, real: slab }), commands);
    }),
  );
});

test('slots are aligned for an OVERLAPPED and lie in the block', () => {
  const slab = new Slab(testBlock(8192), 48, 170);
  for (let index = 0; index < slab.capacity; index++) {
    expect(slab.offsetOf(index) % 16).toBe(0);
    expect(slab.offsetOf(index) + slab.size).toBeLessThanOrEqual(slab.block.size);
  }
});

test('a slab that does not fit its block, or whose slots are not aligned, is a bug', () => {
  const block = testBlock(4096);
  expect(() => new Slab(block, 16, 257)).toThrow(AssertionError);
  expect(() => new Slab(block, 24, 2)).toThrow(AssertionError);
  expect(() => new Slab(block, 0, 2)).toThrow(AssertionError);
  expect(() => new Slab(block, 16, 0)).toThrow(AssertionError);
  expect(() => new Slab(block, 16, 1.5)).toThrow(AssertionError);
});

test('a leak is named', () => {
  const slab = new Slab(testBlock(4096), 64, 8);
  slab.assertEmpty('slots');
  const first = slab.acquire();
  slab.acquire();
  expect(() => slab.assertEmpty('slots')).toThrow(bug('2 of 8 slots are out'));
  slab.release(first);
  expect(() => slab.assertEmpty('slots')).toThrow('1 of 8 slots are out');
});
