// ObjectPool against a model: which objects are out, how many were ever made, and what reset has seen.

import { AssertionError } from 'node:assert';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ObjectPool } from '../src/index.js';
import { bug, pick } from './support.js';

class Thing {
  dirty = false;
}

interface Model {
  readonly live: Thing[];
  readonly idle: Thing[];
}

type Pool = ObjectPool<Thing>;
interface Step extends fc.Command<Model, Pool> {}

class Acquire implements Step {
  check = () => true;
  run(model: Model, pool: Pool): void {
    const thing = pool.acquire();
    expect(thing === null).toBe(model.live.length === CAPACITY);
    if (thing !== null) {
      const idle = model.idle.pop();
      if (idle !== undefined) expect(thing).toBe(idle);
      expect(thing.dirty).toBe(false);
      expect(model.live).not.toContain(thing);
      thing.dirty = true;
      model.live.push(thing);
    }
    agree(model, pool);
  }
  toString = () => 'acquire()';
}

class Release implements Step {
  constructor(readonly choice: number) {}
  check = (model: Model) => model.live.length > 0;
  run(model: Model, pool: Pool): void {
    const [thing] = model.live.splice(this.choice % model.live.length, 1);
    pool.release(thing!);
    model.idle.push(thing!);
    agree(model, pool);
  }
  toString = () => `release(${this.choice})`;
}

class ReleaseTwice implements Step {
  constructor(readonly choice: number) {}
  check = (model: Model) => model.idle.length > 0;
  run(model: Model, pool: Pool): void {
    expect(() => pool.release(pick(model.idle, this.choice))).toThrow('release of an object twice');
    agree(model, pool);
  }
  toString = () => `releaseTwice(${this.choice})`;
}

class ReleaseForeign implements Step {
  check = () => true;
  run(model: Model, pool: Pool): void {
    expect(() => pool.release(new Thing())).toThrow('release of an object of another pool');
    agree(model, pool);
  }
  toString = () => 'releaseForeign()';
}

function agree(model: Model, pool: Pool): void {
  expect(pool.live()).toEqual(model.live);
  expect(pool.out).toBe(model.live.length);
  expect(pool.free).toBe(CAPACITY - model.live.length);
  for (const [i, thing] of pool.live().entries()) expect(thing).toBe(model.live[i]);
}

const CAPACITY = 5;
const steps = fc.commands(
  [
    fc.constant(new Acquire()),
    fc.nat(100).map((choice) => new Release(choice)),
    fc.nat(100).map((choice) => new ReleaseTwice(choice)),
    fc.constant(new ReleaseForeign()),
  ],
  { maxCommands: 60, size: 'max' },
);

test('a pool of objects agrees with its model, and never makes more than its capacity', () => {
  fc.assert(
    fc.property(steps, (commands) => {
      let made = 0;
      const create = () => {
        made++;
        return new Thing();
      };
      const reset = (thing: Thing) => {
        thing.dirty = false;
      };
      const real = new ObjectPool<Thing>({ create, reset, capacity: CAPACITY });
      fc.modelRun(() => ({ model: { live: [], idle: [] }, real }), commands);
      expect(made).toBeLessThanOrEqual(CAPACITY);
    }),
  );
});

test('an object whose reset throws is dropped, and its place is free', () => {
  const reset = () => {
    throw new Error('no');
  };
  const pool = new ObjectPool({ create: () => new Thing(), reset, capacity: 1 });
  const broken = pool.acquire()!;
  expect(() => pool.release(broken)).toThrow('no');
  expect(pool.out).toBe(0);
  const fresh = pool.acquire();
  expect(fresh).toBeInstanceOf(Thing);
  expect(fresh).not.toBe(broken);
});

test('an object that could not be made takes no place', () => {
  let fail = true;
  const create = () => {
    if (fail) throw new Error('no');
    return new Thing();
  };
  const pool = new ObjectPool({ create, capacity: 1 });
  expect(() => pool.acquire()).toThrow('no');
  expect(pool.out).toBe(0);
  fail = false;
  expect(pool.acquire()).toBeInstanceOf(Thing);
});

test('a leak is named', () => {
  const pool = new ObjectPool({ create: () => new Thing(), capacity: 3 });
  pool.assertEmpty();
  expect(pool.report()).toBe('0 of 3 objects are out');
  const first = pool.acquire()!;
  const second = pool.acquire()!;
  const message = '2 of 3 objects are out, the oldest a Thing';
  expect(pool.report()).toMatch(new RegExp(`^${message}`));
  expect(() => pool.assertEmpty()).toThrow(bug(message));
  pool.release(first);
  pool.release(second);
  pool.assertEmpty();
});

test('a pool without room is a bug', () => {
  expect(() => new ObjectPool({ create: () => new Thing(), capacity: 0 })).toThrow(AssertionError);
});
