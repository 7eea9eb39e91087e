// The command `echo bench`: the measurement, with a bar while it runs and its result in words.

import { SingleBar } from 'cli-progress';
import { type BenchOptions, type BenchResult, bench, type OnProgress } from './bench.js';
import { megabytes, whole } from './numbers.js';

export async function measure(options: BenchOptions): Promise<void> {
  const progress = benchProgress(options.seconds);
  const result = await bench(options, progress.update).finally(progress.stop);
  console.log(benchSummary(options, result));
}

/** A progress bar, on a terminal only. */
function benchProgress(seconds: number): { update: OnProgress; stop: () => void } {
  if (!process.stderr.isTTY) return { update: () => {}, stop: () => {} };
  const bar = new SingleBar({ format: '{bar} {percentage}% | {messages} messages', clearOnComplete: true });
  bar.start(seconds, 0, { messages: 0 });
  return {
    update: (passed, messages) => bar.update(Math.min(passed, seconds), { messages: whole(messages) }),
    stop: () => bar.stop(),
  };
}

function benchSummary(options: BenchOptions, result: BenchResult): string {
  const { connections, outstanding, size } = options;
  const { backend, latencies, messages, seconds } = result;
  const at = (percentile: number) => `p${percentile} ${whole(latencies.getValueAtPercentile(percentile))} us`;
  return [
    `${whole(connections)} connections, ${whole(size)} bytes, ${whole(outstanding)} outstanding, ${backend}`,
    `${whole(messages / seconds)} messages/s, ${megabytes((messages * size) / seconds)} MB/s each way`,
    `round trip ${at(50)}, ${at(99)}, ${at(99.9)}; every byte verified`,
  ].join('\n');
}
