// Threads that use the shared memory at once. Worker threads load JavaScript, so the sources under test are built for them.

import { Worker } from 'node:worker_threads';
import { build } from 'tsup';

const OUT = new URL('../../node_modules/.shared-memory/', import.meta.url);

await build({
  entry: {
    'byte-queues': new URL('../../src/shared/memory/byte-queues.ts', import.meta.url).pathname,
    'group-table': new URL('../../src/shared/memory/group-table.ts', import.meta.url).pathname,
  },
  config: false,
  format: 'esm',
  target: 'node20',
  outDir: OUT.pathname,
  outExtension: () => ({ js: '.mjs' }),
  silent: true,
});

export interface TestThread {
  readonly worker: Worker;
  /** When it has begun its loop. */
  readonly started: Promise<unknown>;
  /** What it told at its end. */
  readonly done: Promise<unknown>;
}

/** Starts a thread that runs one function of thread.js. */
export function startThread(name: string, data: object): TestThread {
  const worker = new Worker(new URL('./thread.js', import.meta.url), {
    workerData: { ...data, name, modules: OUT.href },
  });
  const messages: unknown[] = [];
  const waiting: ((message: unknown) => void)[] = [];
  worker.on('message', (message) => {
    const next = waiting.shift();
    if (next) next(message);
    else messages.push(message);
  });
  const failed = new Promise<never>((_, reject) => worker.once('error', reject));
  failed.catch(() => {});
  const next = () => Promise.race([failed, new Promise((resolve) => waiting.push(resolve))]);
  return { worker, started: next(), done: next() };
}
