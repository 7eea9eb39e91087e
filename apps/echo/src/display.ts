// What the command shows: the live line of the server, and the bar and the result of the bench.

import { clearLine, cursorTo } from 'node:readline';
import type { IocpCore } from '@overlapped/net-core';
import { SingleBar } from 'cli-progress';
import type { BenchOptions, BenchResult, OnProgress } from './bench.js';

const INTERVAL = 1000;

/** Keeps one line on the terminal up to date. Gives what ends it. */
export function liveFigures(core: IocpCore): () => void {
  const read = () => ({ ...core.figures().total, at: performance.now() });
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

/** A progress bar, on a terminal only. */
export function benchProgress(seconds: number): { update: OnProgress; stop: () => void } {
  if (!process.stderr.isTTY) return { update: () => {}, stop: () => {} };
  const bar = new SingleBar({ format: '{bar} {percentage}% | {messages} messages', clearOnComplete: true });
  bar.start(seconds, 0, { messages: 0 });
  return {
    update: (passed, messages) => bar.update(Math.min(passed, seconds), { messages: whole(messages) }),
    stop: () => bar.stop(),
  };
}

export function benchSummary(options: BenchOptions, result: BenchResult): string {
  const { connections, outstanding, size } = options;
  const { backend, latencies, messages, seconds } = result;
  const at = (percentile: number) => `p${percentile} ${whole(latencies.getValueAtPercentile(percentile))} us`;
  return [
    `${whole(connections)} connections, ${whole(size)} bytes, ${whole(outstanding)} outstanding, ${backend}`,
    `${whole(messages / seconds)} messages/s, ${megabytes((messages * size) / seconds)} MB/s each way`,
    `round trip ${at(50)}, ${at(99)}, ${at(99.9)}; every byte verified`,
  ].join('\n');
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function show(line: string): void {
  cursorTo(process.stdout, 0);
  clearLine(process.stdout, 0);
  process.stdout.write(line);
}
