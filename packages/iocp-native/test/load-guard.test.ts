// The guard of a thread that loads native code: the thread that would terminate it waits.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { LoadGuard } from '../src/native/load-guard.js';

test('a thread that loads is not terminated until it has loaded', () => {
  const guard = new LoadGuard();
  const other = new LoadGuard(guard.memory);
  for (let i = 0; i < 2; i++) {
    guard.begin();
    expect(other.forbid()).toBe(false);
    guard.done();
  }
  expect(other.forbid()).toBe(true);
  expect(other.forbid()).toBe(true);
});

/** The state of a guard, in words: of a thread that loads. */
const LOADING = 1;

test('a thread that is about to be terminated loads nothing', async () => {
  const { memory } = new LoadGuard();
  expect(new LoadGuard(memory).forbid()).toBe(true);
  const worker = new Worker(new URL('support/load-for-ever.mjs', import.meta.url), { workerData: { memory } });
  await once(worker, 'message');
  await worker.terminate();
  expect(new Int32Array(memory)[0]).not.toBe(LOADING);
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
    Atomics.store(words, 0, 0);
    Atomics.notify(words, 0);`;
  const worker = new Worker(code, { eval: true, workerData: guard.memory });
  await once(worker, 'message');
  guard.await(60_000);
  expect(guard.forbid()).toBe(true);
  await once(worker, 'exit');
});

// koffi would end the process: it runs in one of its own.
test('a thread that always binds functions and makes views is terminated at any moment', () => {
  const program = fileURLToPath(new URL('support/terminate-loading.mjs', import.meta.url));
  const { status, stderr, stdout } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
  expect([status, stdout.trim()], stderr.slice(0, 2000)).toEqual([0, 'done']);
});
