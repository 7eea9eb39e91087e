// BufferPool against a model: what is written into a buffer stays there until its release, whatever the others do.

import { AssertionError } from 'node:assert';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BufferPool } from '../src/index.js';
import { bug, pick, testBlock } from './support.js';

type Model = Map<number, Buffer>;
interface Step extends fc.Command<Model, BufferPool> {}

class Fill implements Step {
  constructor(readonly content: Uint8Array) {}
  check = () => true;
  run(model: Model, pool: BufferPool): void {
    const index = pool.acquire();
    expect(index === -1).toBe(model.size === CAPACITY);
    if (index !== -1) {
      const content = Buffer.alloc(SIZE, this.content);
      content.copy(pool.bytes(index));
      expect(model.has(index)).toBe(false);
      model.set(index, content);
    }
    agree(model, pool);
  }
  toString = () => `fill(${this.content})`;
}

class Release implements Step {
  constructor(readonly choice: number) {}
  check = (model: Model) => model.size > 0;
  run(model: Model, pool: BufferPool): void {
    const index = pick([...model.keys()], this.choice);
    pool.release(index);
    model.delete(index);
    agree(model, pool);
  }
  toString = () => `release(${this.choice})`;
}

class MisuseFree implements Step {
  constructor(readonly index: number) {}
  check = (model: Model) => !model.has(this.index);
  run(model: Model, pool: BufferPool): void {
    expect(() => pool.release(this.index)).toThrow(AssertionError);
    expect(() => pool.bytes(this.index)).toThrow(AssertionError);
    agree(model, pool);
  }
  toString = () => `misuseFree(${this.index})`;
}

function agree(model: Model, pool: BufferPool): void {
  expect(pool.out).toBe(model.size);
  for (const [index, content] of model) {
    const view = pool.bytes(index);
    expect(pool.bytes(index)).toBe(view);
    expect(view.equals(content)).toBe(true);
    const start = pool.offsetOf(index);
    expect(pool.block.bytes.subarray(start, start + pool.size).equals(content)).toBe(true);
  }
}

const CAPACITY = 5;
const SIZE = 48;
const steps = fc.commands(
  [
    fc.uint8Array({ minLength: 1, maxLength: SIZE }).map((content) => new Fill(content)),
    fc.nat(100).map((choice) => new Release(choice)),
    fc.integer({ min: -1, max: CAPACITY }).map((index) => new MisuseFree(index)),
  ],
  { maxCommands: 60, size: 'max' },
);

test('a pool of buffers agrees with its model, whatever is acquired and released', () => {
  fc.assert(
    fc.property(steps, (commands) => {
      const real = new BufferPool(testBlock(SIZE * CAPACITY), SIZE, CAPACITY);
      fc.modelRun(() => ({ model: new Map(), real }), commands);
    }),
  );
});

test('a pool says what it holds', () => {
  const block = testBlock(8192);
  const pool = new BufferPool(block, 4096, 2);
  expect([pool.block, pool.size, pool.capacity, pool.out]).toEqual([block, 4096, 2, 0]);
});

test('a leak is named', () => {
  const pool = new BufferPool(testBlock(8192), 4096, 2);
  pool.assertEmpty();
  const index = pool.acquire();
  expect(() => pool.assertEmpty()).toThrow(bug('1 of 2 buffers of 4096 bytes are out'));
  pool.release(index);
  pool.assertEmpty();
});

test('a buffer with an owner is given back in its name alone', () => {
  const pool = new BufferPool(testBlock(4096), 64, 4);
  const owner = {};
  const owned = pool.acquire(owner);
  const other = pool.acquire();
  expect(() => pool.release(owned)).toThrow(bug(`release of buffer ${owned}, which another owns`));
  expect(() => pool.release(other, owner)).toThrow(AssertionError);
  expect(pool.out).toBe(2);
  pool.release(owned, owner);
  pool.release(other);
  // Its next owner is another one.
  pool.release(pool.acquire());
  expect(pool.out).toBe(0);
});
