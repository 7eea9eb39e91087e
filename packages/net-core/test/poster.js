// A thread that posts `count` packets with one key, numbered from 0, trying again while the queue is full.

import { workerData } from 'node:worker_threads';
import { openPoster } from '@overlapped/iocp-native';

const poster = openPoster(workerData.token);
for (let i = 0; i < workerData.count; ) {
  if (poster.post(workerData.key, i)) i++;
}
