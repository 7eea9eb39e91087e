// What the command shows: the live line of the server, and the bar and the result of the bench.

import { clearLine, cursorTo } from 'node:readline';
import type { Listener } from '@overlapped/session';
import { SingleBar } from 'cli-progress';
import type { BenchOptions, BenchResult, OnProgress } from './bench.js';
import { traffic } from './server.js';

const INTERVAL = 1000;

/** Keeps one line on the terminal up to date. Gives what ends it. */
export function liveFigures(listener: Listener): () => void {
  let last = { ...traffic, at: performance.now() };
  const timer = setInterval(() => {
    const now = { ...traffic, at: performance.now() };
    const seconds = (now.at - last.at) / 1000;
    const rates = describeRates((now.messages - last.messages) / seconds, (now.bytes - last.bytes) / seconds);
    last = now;
    show(`${whole(listener.sessions.size)} connections, ${rates}`);
  }, INTERVAL);
  timer.unref();
  return () => {
    clearInterval(timer);
    show('');
  };
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
    `${describeRates(messages / seconds, (messages * size) / seconds)} each way`,
    `round trip ${at(50)}, ${at(99)}, ${at(99.9)}; every byte verified`,
  ].join('\n');
}

function describeRates(messages: number, bytes: number): string {
  return `${whole(messages)} messages/s, ${(bytes / 1e6).toFixed(1)} MB/s`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function show(line: string): void {
  cursorTo(process.stdout, 0);
  clearLine(process.stdout, 0);
  process.stdout.write(line);
}
