// A thread that blocks does not count as running: the port lets the next one start, so there are more threads than places.
import { isMainThread, threadId } from 'node:worker_threads';
import { JobPool } from '@overlapped/jobs';

export function waitForSignal(signal: Int32Array): number {
  Atomics.wait(signal, 0, 0); // Blocks until the other job has run.
  return threadId;
}

export function giveSignal(signal: Int32Array): number {
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
  return threadId;
}

if (isMainThread) {
  // One place, two threads: 2 x concurrency, which is the default too.
  const pool = new JobPool({ module: new URL(import.meta.url), concurrency: 1, threads: 2 });
  const signal = new Int32Array(new SharedArrayBuffer(4));
  const waiter = pool.run<number>('waitForSignal', [signal]);
  const giver = pool.run<number>('giveSignal', [signal]); // With one thread it would never start.

  console.log('The first job blocks in the only place. The second job would have to wait for it for ever.');
  const second = await giver;
  console.log('The port noticed: the second job ran.');
  const first = await waiter;
  console.log(`It ran in ${first === second ? 'the same' : 'another'} thread, and woke the first.`);
  await pool.stop();
}
