// A worker thread that posts `count` packets with one key, numbered from 0, trying again while the queue is full, and adds
// each to `posted`. Between two of them it lets up to `spread` microseconds pass.

import { workerData } from 'node:worker_threads';

const { openPoster } = await import(workerData.library);
const poster = openPoster(workerData.token);
for (let i = 0; i < workerData.count; ) {
  if (poster.post(workerData.key, i)) {
    i++;
    Atomics.add(workerData.posted, 0, 1);
  }
  const until = performance.now() + (Math.random() * workerData.spread) / 1000;
  while (performance.now() < until);
}
