// Terminates a thread that loads native code without an end, again and again, as a core does.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { openPort } from '@overlapped/iocp-native';
import { LoadGuard } from '@overlapped/iocp-native/internal';

/** Without a guard one of the first few ends the process. */
const TIMES = 40;

const port = openPort();
const { address } = port.allocate(4096);
for (let i = 0; i < TIMES; i++) {
  const guard = new LoadGuard();
  const worker = new Worker(new URL('load-for-ever.mjs', import.meta.url), {
    workerData: { memory: guard.memory, address },
  });
  await once(worker, 'message');
  await sleep(i % 5);
  while (!guard.forbid()) await sleep(1);
  await worker.terminate();
}
port.destroy();
console.log('done');
