// The options of a JobPool, checked and with their defaults.

import { availableParallelism } from 'node:os';
import type { ResourceLimits } from 'node:worker_threads';
import { IocpError } from '@overlapped/iocp-native';
import { moduleUrl } from '@overlapped/iocp-native/internal';
import { MAX_THREADS } from './job-table.js';

/** How a pool is made. */
export interface JobPoolOptions {
  /** The module whose exported functions are the jobs: a URL, or an absolute path. Each thread imports it. */
  readonly module: URL | string;
  /** Threads, 1 to 250. Default: twice the concurrency, so that another one can run while one is blocked. */
  readonly threads?: number;
  /** How many of them run at a time. Default: the number of cores. */
  readonly concurrency?: number;
  /** Limits of each thread's heap, as `Worker` of node:worker_threads takes them. */
  readonly resourceLimits?: ResourceLimits;
}

/** Throws an IocpError (EINVAL). */
export function checked(options: JobPoolOptions) {
  const { module, concurrency = availableParallelism(), resourceLimits } = options;
  const { threads = Math.min(MAX_THREADS, concurrency * 2) } = options;
  checkInteger('concurrency', concurrency, 4096);
  checkInteger('threads', threads, MAX_THREADS);
  return { module: moduleUrl(module, 'make a job pool'), threads, concurrency, resourceLimits };
}

function checkInteger(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw invalid(`${name} must be a whole number from 1 to ${most}, not ${value}`);
}

function invalid(reason: string): IocpError {
  return new IocpError('make a job pool', reason, 'EINVAL', 'JobPool');
}
