// A server under measurement, whatever it is written in: a process of its own.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

export interface Server {
  /** What serves: a backend, or who else. */
  readonly by: string;
  readonly port: number;
  /** User and system time of all its threads up to now, in microseconds. Rejects when the server is gone. */
  cpu(): Promise<number>;
  /** Resident bytes, after garbage collection. */
  memory(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts the servers one after the other, and stops them when `use` has ended. */
export async function withServers<S extends Server, T>(
  starts: readonly (() => Promise<S>)[],
  use: (servers: S[]) => Promise<T>,
): Promise<T> {
  const servers: S[] = [];
  try {
    for (const start of starts) servers.push(await start());
    return await use(servers);
  } finally {
    for (const server of servers) await server.stop();
  }
}

/** The memory of a process that is in RAM. */
export function residentBytes(pid: number): number {
  const [, kilobytes] = /^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))!;
  return Number(kilobytes) * 1024;
}

/** Ends a process, if it has not ended. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
