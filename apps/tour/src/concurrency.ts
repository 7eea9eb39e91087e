// Concurrency: the port lets so many threads run at a time. Too few leave cores idle, too many make them switch contexts.
import { availableParallelism } from 'node:os';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { JobPool } from '@overlapped/jobs';

type Span = [start: number, end: number];
const [THREADS, JOBS, STEPS] = [8, 32, 500_000];
if (isMainThread) setEnvironmentData('met', new SharedArrayBuffer(4));
const met = new Int32Array(getEnvironmentData('met') as SharedArrayBuffer); // How many threads have come.
const clock = () => Number(process.hrtime.bigint()) / 1e6; // The same one in all threads.

/** Returns when each thread is here. Until then they block, so the port lets the next one start. */
export function meet(): void {
  const here = Atomics.add(met, 0, 1) + 1;
  Atomics.notify(met, 0);
  for (let count = here; count < THREADS; count = Atomics.load(met, 0)) Atomics.wait(met, 0, count);
}

/** Keeps a core busy: so much work, however long it takes. */
export function compute(): Span {
  const start = clock();
  for (let i = 0, x = 1; i < STEPS && x !== 0; i++) x = (x * 48271) % 2147483647;
  return [start, clock()];
}

if (isMainThread) {
  console.log(`${JOBS} jobs that compute, on ${THREADS} threads and ${availableParallelism()} cores:`);
  for (const concurrency of [1, 2, 4, 8]) {
    const pool = new JobPool({ module: new URL(import.meta.url), threads: THREADS, concurrency });
    met.fill(0);
    await Promise.all(Array.from({ length: THREADS }, () => pool.run('meet'))); // All threads have started.
    const spans = await Promise.all(Array.from({ length: JOBS }, () => pool.run<Span>('compute')));
    const took = Math.max(...spans.map(([, end]) => end)) - Math.min(...spans.map(([start]) => start));
    const average = spans.reduce((sum, [start, end]) => sum + end - start, 0) / took;
    console.log(`  concurrency ${concurrency}: ${average.toFixed(1)} at a time, all in ${took.toFixed(0)} ms`);
    await pool.stop();
  }
  console.log('Threads beyond the cores gain nothing: they take turns. Start with the number of cores, and measure.');
}
