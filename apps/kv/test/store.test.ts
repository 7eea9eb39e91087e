// The store against a plain map, and its sweeps, under a clock that the test moves.

import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { Store } from '../src/store.js';

/** A store whose sweeps run by fake timers, as do its deadlines. */
function makeStore(): Store {
  const store = new Store((delay) => void setTimeout(() => store.sweep(), delay));
  return store;
}

function put(store: Store, key: string, value: string): void {
  const bytes = Buffer.from(`<${value}>`, 'latin1');
  store.set(key, bytes, 1, bytes.length - 1);
}

function read(store: Store, key: string): string | undefined {
  const bulk = store.get(key)?.toString('latin1');
  return bulk && /^\$\d+\r\n(.*)\r\n$/s.exec(bulk)?.[1];
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
  return () => void vi.useRealTimers();
});

test('does as a map with deadlines does', () => {
  const key = fc.constantFrom('a', 'b', 'c', '');
  const action = fc.oneof(
    fc.record({ act: fc.constant('set' as const), key, value: fc.oneof(fc.string(), fc.string({ minLength: 90 })) }),
    fc.record({ act: fc.constantFrom('delete' as const, 'persist' as const), key }),
    fc.record({ act: fc.constant('expire' as const), key, delay: fc.integer({ min: 1, max: 300 }) }),
    fc.record({ act: fc.constant('wait' as const), delay: fc.integer({ min: 0, max: 200 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const store = makeStore();
      const model = new Map<string, { value: string; deadline: number }>();
      let now = 0;
      for (const each of actions) {
        if (each.act === 'wait') {
          vi.advanceTimersByTime(each.delay);
          now += each.delay;
          for (const [name, { deadline }] of model) if (deadline <= now) model.delete(name);
        } else if (each.act === 'set') {
          const value = Buffer.from(each.value).toString('latin1');
          model.set(each.key, { value, deadline: model.get(each.key)?.deadline ?? Number.POSITIVE_INFINITY });
          put(store, each.key, value);
        } else if (each.act === 'delete') {
          expect(store.delete(each.key)).toBe(model.delete(each.key));
        } else if (store.get(each.key) !== undefined) {
          const deadline = each.act === 'expire' ? now + each.delay : Number.POSITIVE_INFINITY;
          model.get(each.key)!.deadline = deadline;
          if (each.act === 'expire') store.expireIn(each.key, each.delay);
          else store.persist(each.key);
        }
        for (const name of ['a', 'b', 'c', '']) expect(read(store, name)).toBe(model.get(name)?.value);
      }
      vi.advanceTimersByTime(1000);
      const staying = [...model.values()].filter(({ deadline }) => deadline === Number.POSITIVE_INFINITY);
      expect([store.size, store.expiring]).toEqual([staying.length, 0]);
    }),
    { numRuns: 300 },
  );
});

describe('sweeps', () => {
  test('find all that is due, a part at a time', () => {
    const store = makeStore();
    for (let i = 0; i < 10_000; i++) {
      put(store, `due ${i}`, 'x');
      store.expireIn(`due ${i}`, 10);
      put(store, `later ${i}`, 'x');
      store.expireIn(`later ${i}`, 1_000_000);
    }
    vi.advanceTimersByTime(100);
    expect(store.size).toBe(19_500);
    vi.advanceTimersByTime(100);
    expect(store.size).toBe(10_000);
  });

  test('end when nothing is due any more', () => {
    const store = makeStore();
    put(store, 'key', 'x');
    store.expireIn('key', 10);
    vi.advanceTimersByTime(100);
    expect([store.size, vi.getTimerCount()]).toEqual([0, 0]);
    put(store, 'key', 'x');
    store.expireIn('key', 10);
    expect(vi.getTimerCount()).toBe(1);
  });

  test('survive that everything is deleted', () => {
    const store = makeStore();
    for (let i = 0; i < 3000; i++) {
      put(store, `${i}`, 'x');
      store.expireIn(`${i}`, 1_000_000);
    }
    vi.advanceTimersByTime(100);
    store.clear();
    put(store, 'key', 'x');
    store.expireIn('key', 10);
    vi.advanceTimersByTime(200);
    expect(store.size).toBe(0);
  });
});

test('a value that was handed out large stays as it was', () => {
  const store = makeStore();
  put(store, 'key', 'a'.repeat(5000));
  const old = store.get('key')!;
  put(store, 'key', 'b'.repeat(5000));
  expect(old.includes('b')).toBe(false);
  expect(read(store, 'key')).toBe('b'.repeat(5000));
});
