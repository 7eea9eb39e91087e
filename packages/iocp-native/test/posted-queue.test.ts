// PostedQueue: a bounded queue of pairs in shared memory, seen from two sides.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PostedQueue } from '../src/posted-queue.js';

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
