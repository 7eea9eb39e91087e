// The guard of a thread that loads native code: terminate() waits for it.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { LoadGuard } from '../src/workers/load-guard.js';

test('a thread that loads is not ended until it has loaded; then at any time', () => {
  const guard = new LoadGuard();
  const other = new LoadGuard(guard.memory);
  expect(guard.begin()).toBe(true);
  expect(other.forbid()).toBe(false);
  guard.done();
  expect(other.forbid()).toBe(true);
});

test('a thread that is about to be ended loads nothing', () => {
  const guard = new LoadGuard();
  expect(new LoadGuard(guard.memory).forbid()).toBe(true);
  expect(guard.begin()).toBe(false);
});

test('the end of the process waits for it, and only for it', async () => {
  const guard = new LoadGuard();
  guard.begin();
  // It has loaded when this thread waits for that.
  const code = `
    const { workerData, parentPort } = require('node:worker_threads');
    const words = new Int32Array(workerData);
    parentPort.postMessage('started');
    while (Atomics.notify(words, 0) === 0);
    Atomics.store(words, 0, 2);
    Atomics.notify(words, 0);`;
  const worker = new Worker(code, { eval: true, workerData: guard.memory });
  await once(worker, 'message');
  while (!guard.forbid()) guard.await(60_000);
  expect(guard.forbid()).toBe(true);
  await once(worker, 'exit');
});
