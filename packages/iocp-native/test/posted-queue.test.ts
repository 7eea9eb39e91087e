// PostedQueue: a bounded queue of pairs in shared memory, seen from two sides.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PostedQueue } from '../src/port/posted-queue.js';

const CAPACITY = 4096;
const word = fc.integer({ min: 0, max: 0xffffffff });

function shift(queue: PostedQueue): [number, number] | undefined {
  let pair: [number, number] | undefined;
  queue.shift((key, bytes) => {
    pair = [key, bytes];
  });
  return pair;
}

it('is a queue of unsigned pairs, whichever view pushes', () => {
  const step = fc.oneof(fc.tuple(word, word), fc.constant(null));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new PostedQueue();
      const poster = new PostedQueue(queue.memory);
      const model: [number, number][] = [];
      for (const pair of steps) {
        if (pair) {
          expect(poster.push(...pair)).toBe(true);
          model.push(pair);
        } else {
          expect(shift(queue)).toEqual(model.shift());
        }
        expect(queue.length).toBe(model.length);
      }
    }),
  );
});

it('says no when it is full, and takes more when there is room', () => {
  const queue = new PostedQueue();
  for (let i = 0; i < CAPACITY; i++) expect(queue.push(i, 0)).toBe(true);
  expect(queue.push(CAPACITY, 0)).toBe(false);
  expect(shift(queue)).toEqual([0, 0]);
  expect(queue.push(CAPACITY, 0)).toBe(true);
  for (let i = 1; i <= CAPACITY; i++) expect(shift(queue)).toEqual([i, 0]);
  expect(shift(queue)).toBeUndefined();
});

it('goes on past the range of its counters', () => {
  const queue = new PostedQueue();
  // Tail and head just before they turn negative: words 1 and 2 of the layout.
  new Int32Array(queue.memory).set([0x7ffffffe, 0x7ffffffe], 1);
  for (let i = 0; i < 8; i++) {
    expect(queue.push(i, i)).toBe(true);
    expect(queue.push(i, i + 1)).toBe(true);
    expect(queue.length).toBe(2);
    expect(shift(queue)).toEqual([i, i]);
    expect(shift(queue)).toEqual([i, i + 1]);
  }
});

it('says no once it is closed, and still gives what it has', () => {
  const queue = new PostedQueue();
  const poster = new PostedQueue(queue.memory);
  expect(poster.push(1, 2)).toBe(true);
  queue.close();
  expect(poster.push(3, 4)).toBe(false);
  expect(shift(queue)).toEqual([1, 2]);
  expect(shift(queue)).toBeUndefined();
});

it('wakes the consumer once until that acknowledges, and never leaves it asleep with a packet', () => {
  // The consumer sleeps until it is woken; then it acknowledges, and reads until there is nothing. Pushes come at any time.
  const step = fc.constantFrom('push', 'push by another', 'consume');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new PostedQueue();
      const poster = new PostedQueue(queue.memory);
      let [wakes, acknowledged, pushed, read] = [0, 0, 0, 0];
      let looking = false;
      const wake = () => wakes++;
      const consume = () => {
        if (looking) {
          looking = queue.shift(() => read++);
        } else if (wakes > acknowledged) {
          queue.acknowledge();
          acknowledged++;
          looking = true;
        }
      };
      for (const name of steps) {
        if (name === 'consume') consume();
        else expect((name === 'push' ? queue : poster).push(++pushed, 0, wake)).toBe(true);
        expect(wakes - acknowledged).toBeLessThanOrEqual(1);
        if (queue.length > 0) expect(looking || wakes > acknowledged).toBe(true);
      }
      while (looking || wakes > acknowledged) consume();
      expect(read).toBe(pushed);
    }),
  );
});

it('keeps what is read until it is dropped, so that another side can still have it', () => {
  const queue = new PostedQueue();
  for (let i = 0; i < 5; i++) queue.push(i, 0);
  const seen: number[] = [];
  while (queue.read((key) => seen.push(key)));
  expect(seen).toEqual([0, 1, 2, 3, 4]);
  expect(queue.length).toBe(0);
  queue.drop();
  queue.drop();
  expect(queue.push(5, 0)).toBe(true);
  expect(queue.length).toBe(1);
  const other = new PostedQueue(queue.memory);
  expect([shift(other), shift(other), shift(other), shift(other)]).toEqual([
    [2, 0],
    [3, 0],
    [4, 0],
    [5, 0],
  ]);
});

it('is full of what is read and not dropped', () => {
  const queue = new PostedQueue();
  for (let i = 0; i < CAPACITY; i++) expect(queue.push(i, 0)).toBe(true);
  while (queue.read(() => {}));
  expect(queue.push(0, 0)).toBe(false);
  queue.drop();
  expect(queue.push(0, 0)).toBe(true);
});

describe('whose lock a thread holds that has ended', () => {
  const dead = 12345;
  const locked = () => {
    const queue = new PostedQueue();
    Atomics.store(new Int32Array(queue.memory), 0, dead + 1);
    return queue;
  };

  it('takes no packet, and says so', () => {
    expect(locked().push(1, 1)).toBe(false);
  });

  it('can be closed', () => {
    const queue = locked();
    queue.close();
    queue.recover(dead, () => expect.fail('its consumer is gone'));
    expect(queue.push(1, 1)).toBe(false);
  });

  it('goes on once it is recovered, with a wake-up', () => {
    const queue = locked();
    let wakes = 0;
    queue.recover(dead + 1, () => wakes++);
    expect(wakes).toBe(0);
    queue.recover(dead, () => wakes++);
    queue.recover(dead, () => wakes++);
    expect(wakes).toBe(1);
    expect(queue.push(1, 2)).toBe(true);
    expect(shift(queue)).toEqual([1, 2]);
  });
});
