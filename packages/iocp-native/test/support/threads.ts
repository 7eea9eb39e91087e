// Other threads that post to a port. They run the built package: a worker of Node reads no TypeScript.

import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { PortToken } from '../../src/contract.js';

export const library = new URL('../../dist/index.js', import.meta.url).href;

/** Starts a thread that posts `count` packets (key, 0), (key, 1) ... Resolves when the thread has ended. */
export function postFromThread(token: PortToken, key: number, count: number): Promise<void> {
  if (!existsSync(new URL(library))) throw new Error('build the package first: pnpm build');
  const worker = new Worker(new URL('./poster.js', import.meta.url), { workerData: { library, token, key, count } });
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', () => resolve());
  });
}
