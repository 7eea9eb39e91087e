// The load of redis-benchmark: GET and SET of one key with a value of three bytes, as many as the server answers.

import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Server } from '../measured/server.js';
import type { Sample } from '../measuring/rounds.js';

export interface Benchmark {
  readonly connections: number;
  /** Requests that each connection has outstanding. */
  readonly pipeline: number;
  /** Requests of each kind. */
  readonly requests: number;
  /** Threads of redis-benchmark. */
  readonly threads: number;
}

const LIMIT = 60_000;
/** Of the times in /proc/self/stat. */
const TICKS_PER_SECOND = 100;

/** Why it cannot run here, or undefined when it can. */
export function whyNoBenchmark(): string | undefined {
  const missing = spawnSync('redis-benchmark', ['--version']).error !== undefined;
  return missing ? 'redis-benchmark is missing, which Debian has in redis-tools' : undefined;
}

/** Requests that a server answers, of both kinds. */
export function underBenchmark({ connections, pipeline, requests, threads }: Benchmark) {
  return async (server: Server): Promise<Sample> => {
    const args = ['-p', server.port, '-c', connections, '-P', pipeline, '-n', requests, '-t', 'set,get', '--csv'];
    if (threads > 1) args.push('--threads', threads);
    const [cpuBefore, clientBefore] = [await server.cpu(), childrenSeconds()];
    const { stdout } = await promisify(execFile)('redis-benchmark', args.map(String), { timeout: LIMIT });
    const [cpuAfter, clientAfter] = [await server.cpu(), childrenSeconds()];
    const rates = [...stdout.matchAll(/^"[GS]ET","([\d.]+)"/gm)].map(([, rate]) => Number(rate));
    if (rates.length !== 2) throw new Error(`redis-benchmark did not measure two commands:\n${stdout}`);
    const seconds = rates.reduce((sum, rate) => sum + requests / rate, 0);
    return {
      rate: (2 * requests) / seconds,
      cpu: (cpuAfter - cpuBefore) / (2 * requests),
      clientBusy: (clientAfter - clientBefore) / seconds,
    };
  };
}

/** CPU time of the child processes that have ended. */
function childrenSeconds(): number {
  // The name of the program, which comes before, may hold anything but ends with the last parenthesis.
  const fields = readFileSync('/proc/self/stat', 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}
