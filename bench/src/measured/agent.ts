// A server on Node.js: asked over IPC for what it has used, and for its connections. src/servers/agent.ts answers.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { pathOf } from '../paths.js';
import type { Behaviour, Figures, Ready, Request } from '../servers/agent.js';
import { kill, residentBytes, type Server } from './server.js';

/** The programs in src/servers. */
export type Program =
  | 'overlapped'
  | 'dedicated'
  | 'shared'
  | 'duplex'
  | 'node-net'
  | 'datagrams'
  | 'node-dgram'
  | 'http-sessions'
  | 'http-net'
  | 'tls-sessions'
  | 'tls-net';

/** An answer that takes longer than this is none, in milliseconds. */
const PATIENCE = 60_000;

export class Agent implements Server {
  readonly port: number;
  readonly by: string;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, { port, by }: Ready) {
    this.port = port;
    this.by = by;
    this.#process = child;
  }

  /** `threads` is for the dedicated server, how many of them serve, and for the shared one: how many run at a time. `backend` is what a core opens by default. */
  static async start(program: Program, behaviour: Behaviour, threads = 1, backend?: string): Promise<Agent> {
    const child = fork(pathOf(`dist/servers/${program}.js`), [behaviour, String(threads)], {
      execArgv: ['--expose-gc'],
      env: backend === undefined ? process.env : { ...process.env, OVERLAPPED_BACKEND: backend },
    });
    return new Agent(child, (await answerOf(child)) as Ready);
  }

  async cpu(): Promise<number> {
    return (await this.figures()).cpu;
  }

  figures(): Promise<Figures> {
    return this.#ask({ ask: 'figures' });
  }

  /** Figures of the moment at which `connected` connections have come since the server started. */
  connected(connected: number): Promise<Figures> {
    return this.#ask({ ask: 'await', connected });
  }

  async memory(): Promise<number> {
    for (let i = 0; i < 3; i++) await this.#ask({ ask: 'gc' });
    return residentBytes(this.#process.pid!);
  }

  /** Stops the process where it is; the kernel goes on to complete connections for it. */
  freeze(): void {
    this.#process.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process.kill('SIGCONT');
  }

  stop(): Promise<void> {
    return kill(this.#process);
  }

  #ask(request: Request): Promise<Figures> {
    this.#process.send(request);
    return answerOf(this.#process) as Promise<Figures>;
  }
}

/** How to start one server of each program, with the same behaviour. */
export function agents(programs: readonly Program[], behaviour: Behaviour): (() => Promise<Agent>)[] {
  return programs.map((program) => () => Agent.start(program, behaviour));
}

/** How to start a server of a program on each of the backends, or on the default one if there are none. */
export function onBackends(
  program: Program,
  behaviour: Behaviour,
  backends: readonly string[] | undefined,
): (() => Promise<Agent>)[] {
  if (backends === undefined) return agents([program], behaviour);
  return backends.map((backend) => () => Agent.start(program, behaviour, 1, backend));
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
