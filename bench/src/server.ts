// A server under measurement: a process of its own, asked over IPC for what it has used.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Behaviour, Figures, Ready, Request } from './servers/agent.js';

/** The servers; ours first. */
export const RIVALS = ['overlapped', 'node-net'] as const;
export type Rival = (typeof RIVALS)[number];

/** An answer that takes longer than this is none, in milliseconds. */
const PATIENCE = 60_000;

export class Server {
  readonly rival: Rival;
  readonly port: number;
  /** What serves: a backend, or node:net. */
  readonly by: string;
  readonly #process: ChildProcess;

  private constructor(rival: Rival, child: ChildProcess, { port, by }: Ready) {
    this.rival = rival;
    this.port = port;
    this.by = by;
    this.#process = child;
  }

  static async start(rival: Rival, behaviour: Behaviour): Promise<Server> {
    const path = fileURLToPath(new URL(`../dist/servers/${rival}.js`, import.meta.url));
    const child = fork(path, [behaviour], { execArgv: ['--expose-gc'] });
    return new Server(rival, child, (await answerOf(child)) as Ready);
  }

  figures(): Promise<Figures> {
    return this.#ask({ ask: 'figures' });
  }

  /** Figures of the moment at which `connected` connections have come since the server started. */
  connected(connected: number): Promise<Figures> {
    return this.#ask({ ask: 'await', connected });
  }

  /** Resident bytes, after garbage collection. */
  async memory(): Promise<number> {
    for (let i = 0; i < 3; i++) await this.#ask({ ask: 'gc' });
    const [, kilobytes] = /^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#process.pid}/smaps_rollup`, 'latin1'))!;
    return Number(kilobytes) * 1024;
  }

  /** Stops the process where it is; the kernel goes on to complete connections for it. */
  freeze(): void {
    this.#process.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exit;
  }

  #ask(request: Request): Promise<Figures> {
    this.#process.send(request);
    return answerOf(this.#process) as Promise<Figures>;
  }
}

/** Starts one server of each rival, ours first, and stops them when `use` has ended. */
export async function withRivals<T>(behaviour: Behaviour, use: (servers: Server[]) => Promise<T>): Promise<T> {
  const servers: Server[] = [];
  try {
    for (const rival of RIVALS) servers.push(await Server.start(rival, behaviour));
    return await use(servers);
  } finally {
    for (const server of servers) await server.stop();
  }
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const end = new AbortController();
  try {
    const { signal } = end;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
    const exit = once(child, 'exit', { signal: limit }).then(([code]) => {
      throw new Error(`a server ended (${code})`);
    });
    const [answer] = await Promise.race([once(child, 'message', { signal: limit }), exit]);
    return answer;
  } finally {
    end.abort();
  }
}
