// Output of the server: the number of its threads, and a live line of statistics.

import { clearLine, cursorTo } from 'node:readline';
import type { IocpCore } from '@overlapped/session';
import { megabytes, whole } from './numbers.js';

const INTERVAL = 1000;

/** Keeps one line on the terminal up to date. Gives a function that ends it. */
export function liveStats(core: IocpCore): () => void {
  const read = () => ({ ...core.stats().total, at: performance.now() });
  let last = read();
  const timer = setInterval(() => {
    const now = read();
    const seconds = (now.at - last.at) / 1000;
    const packets = whole((now.packets - last.packets) / seconds);
    const bytes = megabytes((now.bytesReceived - last.bytesReceived) / seconds);
    last = now;
    show(`${whole(now.sessions)} connections, ${packets} packets/s, ${bytes} MB/s received`);
  }, INTERVAL);
  timer.unref();
  return () => {
    clearInterval(timer);
    show('');
  };
}

/** Which threads serve. */
export function describeThreads(workers: number): string {
  if (workers === 0) return 'main thread';
  return workers === 1 ? '1 thread' : `${workers} threads`;
}

function show(line: string): void {
  cursorTo(process.stdout, 0);
  clearLine(process.stdout, 0);
  process.stdout.write(line);
}
