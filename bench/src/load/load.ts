// The load generators: load/load.c and, for UDP, load/datagrams.c, compiled at first use and run as processes of their own.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { compiled, whyNotCompiled } from '../compile.js';

export type LoadMode = 'echo' | 'churn' | 'knock' | 'crowd' | 'choir' | 'datagrams';

export interface Load {
  readonly mode: LoadMode;
  readonly port: number;
  /** How many at a time; of datagrams, peers. */
  readonly connections: number;
  readonly seconds: number;
  /** What is sent, if not just MESSAGE_BYTES of anything. The answer must have the same length. */
  readonly message?: string;
}

export interface LoadResult {
  /** Round trips; in churn and knock also the connections made; in crowd and choir deliveries. */
  readonly messages: number;
  readonly seconds: number;
  /** What the generator itself used: as much as `seconds` means that it was the limit. */
  readonly cpuSeconds: number;
}

/** Connections that are open and idle. */
export interface HeldConnections {
  /** When the first one began to connect, in seconds of CLOCK_MONOTONIC. */
  readonly started: number;
  release(): Promise<void>;
}

export const MESSAGE_BYTES = 64;
/** Seconds that idle connections are held at most, and that a generator may take beyond its time. */
const LONGEST_HOLD = 120;
const GRACE = 60;

/** Why the load generator cannot run here, or undefined when it can. */
export function whyNoLoad(): string | undefined {
  const reason = whyNotCompiled();
  return reason && `the load generator cannot run: ${reason}`;
}

export async function runLoad({ mode, port, connections, seconds, message }: Load): Promise<LoadResult> {
  const child = start(mode, port, connections, seconds, message);
  const [result] = await linesOf(child);
  return JSON.parse(result!);
}

/** Opens `connections` at once; resolves when the clients see them all as open. */
export function holdConnections(port: number, connections: number): Promise<HeldConnections> {
  return holdWith(compiled('load/load.c'), port, connections, MESSAGE_BYTES);
}

/** The same with a load generator of another program. */
export async function holdWith(
  command: string,
  port: number,
  connections: number,
  bytes: number,
): Promise<HeldConnections> {
  const args = ['idle', ...[port, connections, bytes, LONGEST_HOLD].map(String)];
  const child = spawnBounded(command, args, LONGEST_HOLD);
  const ended = linesOf(child);
  const first = once(createInterface(child.stdout!), 'line');
  const line = await Promise.race([first, ended.then(() => Promise.reject(new Error('not all could connect')))]);
  const { started } = JSON.parse(line[0]);
  return {
    started,
    async release() {
      child.stdin!.end();
      await ended;
    },
  };
}

function start(mode: string, port: number, connections: number, seconds: number, message?: string): ChildProcess {
  const args = [port, connections, message?.length ?? MESSAGE_BYTES, seconds].map(String);
  if (message !== undefined) args.push(message);
  const command = mode === 'datagrams' ? compiled('load/datagrams.c') : compiled('load/load.c');
  return spawnBounded(command, mode === 'datagrams' ? args : [mode, ...args], seconds);
}

/** Runs a load generator of another program for `seconds`; resolves with the JSON object that it prints. */
export async function spawnLoad<Result>(command: string, args: readonly string[], seconds: number): Promise<Result> {
  const [result] = await linesOf(spawnBounded(command, args, seconds));
  return JSON.parse(result!);
}

function spawnBounded(command: string, args: readonly string[], seconds: number): ChildProcess {
  return spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], timeout: (seconds + GRACE) * 1000 });
}

/** What the program printed, when it has ended well. */
async function linesOf(child: ChildProcess): Promise<string[]> {
  let text = '';
  child.stdout!.on('data', (data) => {
    text += data;
  });
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`the load generator failed (${signal ?? code})`);
  return text.trim().split('\n');
}
