// The load generator: load/load.c, compiled at first use and run as a process of its own.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export type LoadMode = 'echo' | 'churn' | 'knock';

export interface Load {
  readonly mode: LoadMode;
  readonly port: number;
  /** How many at a time. */
  readonly connections: number;
  readonly seconds: number;
}

export interface LoadResult {
  /** Round trips; in churn and knock also the connections made. */
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
const GRACE = 10;

const source = fileURLToPath(new URL('../load/load.c', import.meta.url));
const folder = fileURLToPath(new URL('../load/build/', import.meta.url));
const program = `${folder}load`;

/** Why the load generator cannot run here, or undefined when it can. */
export function whyNoLoad(): string | undefined {
  if (process.platform !== 'linux') return 'the load generator needs epoll, and this is not Linux';
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'the load generator is written in C, and there is no gcc';
  }
}

export async function runLoad({ mode, port, connections, seconds }: Load): Promise<LoadResult> {
  const child = start(mode, port, connections, seconds);
  const [result] = await linesOf(child);
  return JSON.parse(result!);
}

/** Opens `connections` at once; resolves when the clients see them all as open. */
export async function holdConnections(port: number, connections: number): Promise<HeldConnections> {
  const child = start('idle', port, connections, LONGEST_HOLD);
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

function start(mode: string, port: number, connections: number, seconds: number): ChildProcess {
  compile();
  const args = [mode, port, connections, MESSAGE_BYTES, seconds].map(String);
  return spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], timeout: (seconds + GRACE) * 1000 });
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

function compile(): void {
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return;
  const reason = whyNoLoad();
  if (reason !== undefined) throw new Error(`Cannot measure: ${reason}`);
  mkdirSync(folder, { recursive: true });
  // Others may be compiling, too: the program appears whole.
  const made = `${program}.${process.pid}`;
  execFileSync('gcc', ['-O2', '-Wall', '-o', made, source], { stdio: ['ignore', 'inherit', 'inherit'] });
  renameSync(made, program);
}
