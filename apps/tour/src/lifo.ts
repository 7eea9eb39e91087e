// LIFO: the thread that began to wait last wakes first, so a light load keeps few threads warm.
import { isMainThread, threadId } from 'node:worker_threads';
import { JobPool } from '@overlapped/jobs';

const THREADS = 8;
const JOBS = 400;

export function whoAmI(): number {
  return threadId;
}

if (isMainThread) {
  const pool = new JobPool({ module: new URL(import.meta.url), threads: THREADS, concurrency: THREADS });
  const counts = new Map<number, number>();
  for (let i = 0; i < JOBS; i++) {
    const thread = await pool.run<number>('whoAmI');
    counts.set(thread, (counts.get(thread) ?? 0) + 1);
  }
  const sorted = [...counts.values()].sort((a, b) => b - a);
  console.log(`${JOBS} jobs, one at a time, on ${THREADS} threads. Jobs of each thread that got any:`);
  console.log(sorted.join(' '));
  console.log(`In turns each would have had ${JOBS / THREADS}. The others slept, and their stacks left the caches.`);
  // The last thread may not wait yet when the next job comes. Then the thread before it wakes: so it is two or three, not one.
  await pool.stop();
}
