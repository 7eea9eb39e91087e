// The lock in shared memory: who gets it, and what becomes of it when its holder ends.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { SharedLock } from '../src/port/shared-lock.js';

const WORD = 1;

function twoThreads(): { words: Int32Array; one: SharedLock; other: SharedLock } {
  const words = new Int32Array(new SharedArrayBuffer(8));
  return { words, one: new SharedLock(words, WORD, 7), other: new SharedLock(words, WORD, 8) };
}

it('is held by one thread at a time, and names it', () => {
  const { words, one, other } = twoThreads();
  expect(one.lock(0)).toBe(true);
  expect([other.lock(0), other.lock(1)]).toEqual([false, false]);
  expect([...words]).toEqual([0, 8]);
  one.unlock();
  expect(other.lock(0)).toBe(true);
});

it('goes from a thread that has ended to the one that inherits it, and from no other', () => {
  const { words, one, other } = twoThreads();
  expect(other.inherit(7)).toBe(false);
  one.lock(0);
  expect(other.inherit(6)).toBe(false);
  expect(other.inherit(7)).toBe(true);
  expect(words[WORD]).toBe(9);
  other.unlock();
  expect(one.lock(0)).toBe(true);
});

it('is waited for while another thread holds it', async () => {
  const { words, one } = twoThreads();
  // It takes the lock and says so. When it is told to, it gives the lock up, after some time for which the other must wait.
  const code = `
    const { workerData: words } = require('node:worker_threads');
    Atomics.store(words, ${WORD}, 9);
    Atomics.store(words, 0, 1);
    Atomics.notify(words, 0);
    Atomics.wait(words, 0, 1);
    Atomics.wait(words, 0, 2, 20);
    Atomics.store(words, ${WORD}, 0);
  `;
  const worker = new Worker(code, { eval: true, workerData: words });
  Atomics.wait(words, 0, 0);
  expect(words[WORD]).toBe(9);
  Atomics.store(words, 0, 2);
  Atomics.notify(words, 0);
  expect(one.lock(10_000)).toBe(true);
  expect(words[WORD]).toBe(8);
  await once(worker, 'exit');
});
