// The pools of threads that run jobs, ours first, behind one face; and what is measured of them.

import { pathToFileURL } from 'node:url';
import { JobPool } from '@overlapped/jobs';
import { Piscina } from 'piscina';
import Tinypool from 'tinypool';
import type { Sample } from '../measuring/rounds.js';
import { pathOf } from '../paths.js';

export type Job = 'noop' | 'block';

export interface Pool {
  readonly by: string;
  run(job: Job, argument: number): Promise<unknown>;
  stop(): Promise<unknown>;
}

const module = pathToFileURL(pathOf('dist/jobs/work.js'));

/** One pool of each kind, with so many threads, or with what is its own default. */
export function openPools(threads?: number): Pool[] {
  return [openOurs(threads), openPiscina(threads), openTinypool(threads)];
}

function openOurs(threads?: number): Pool {
  const pool = new JobPool({ module, ...(threads !== undefined && { threads }) });
  return { by: 'JobPool', run: (job, argument) => pool.run(job, [argument]), stop: () => pool.stop() };
}

function openPiscina(threads?: number): Pool {
  const pool = new Piscina({ filename: module.href, ...fixed(threads) });
  return { by: 'piscina', run: (name, argument) => pool.run(argument, { name }), stop: () => pool.destroy() };
}

function openTinypool(threads?: number): Pool {
  const pool = new Tinypool({ filename: module.href, ...fixed(threads) });
  return { by: 'tinypool', run: (name, argument) => pool.run(argument, { name }), stop: () => pool.destroy() };
}

function fixed(threads?: number): { minThreads?: number; maxThreads?: number } {
  return threads === undefined ? {} : { minThreads: threads, maxThreads: threads };
}

/** Jobs a second while `outstanding` of them are with the pool; `seconds` are over when all have come back. */
export function keepBusy(
  outstanding: number,
  seconds: number,
  start: (pool: Pool, number: number) => Promise<unknown>,
): (pool: Pool) => Promise<Sample> {
  return async (pool) => {
    const before = process.cpuUsage();
    const started = performance.now();
    const end = started + seconds * 1000;
    let jobs = 0;
    const line = async () => {
      do await start(pool, jobs++);
      while (performance.now() < end);
    };
    await Promise.all(Array.from({ length: outstanding }, line));
    const { user, system } = process.cpuUsage(before);
    return { rate: (jobs * 1000) / (performance.now() - started), cpu: (user + system) / jobs };
  };
}

const BLOCKED_MILLISECONDS = 5;

export function noop(pool: Pool): Promise<unknown> {
  return pool.run('noop', 0);
}

/** Of ten jobs in a row three block, the same ones for every pool. */
export function mixed(pool: Pool, number: number): Promise<unknown> {
  return (number * 7) % 10 < 3 ? pool.run('block', BLOCKED_MILLISECONDS) : noop(pool);
}
