// The server and the clients as child processes: to start one, to hear from it, and to see it end.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Peer } from './peer.js';
import type { ClientOptions, FromClient, FromServer, Greeting, Sample, ServerOptions, Tally } from './protocol.js';

/** Milliseconds that a process has to answer, and to end. */
const PATIENCE = 60_000;

/** Where a built program lies, seen from src and from dist. */
function built(name: string): string {
  return fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url));
}

function start(name: string, options: object, under: readonly string[], flags: readonly string[]): ChildProcess {
  const line = [...under, process.execPath, ...flags, built(name), JSON.stringify(options)];
  return spawn(line[0]!, line.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

export interface ServerLaunch extends ServerOptions {
  /** A command that runs the server, such as one that sets limits. */
  readonly under?: readonly string[];
  /** A built program that the server loads first. */
  readonly first?: string;
}

/** A process that serves. */
export class Server {
  readonly process: ChildProcess;
  readonly ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  greeting!: Greeting;

  private constructor({ under = [], first, ...options }: ServerLaunch) {
    this.process = start('server', options, under, first === undefined ? [] : ['--import', built(first)]);
    this.ended = once(this.process, 'close') as typeof this.ended;
  }

  static async start(launch: ServerLaunch = {}): Promise<Server> {
    const server = new Server(launch);
    server.greeting = (await server.#hear()) as Greeting;
    return server;
  }

  get ports() {
    return this.greeting.ports;
  }

  async sample(): Promise<Sample> {
    const answer = this.#hear();
    this.process.send('sample');
    return ((await answer) as { sample: Sample }).sample;
  }

  /** Waits until a sample is as it should be. Rejects with the last one when it never is. */
  async until(isGood: (sample: Sample) => boolean): Promise<Sample> {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const sample = await this.sample();
      if (isGood(sample)) return sample;
      if (Date.now() > deadline) throw new Error(`never came to be: ${JSON.stringify(sample)}`);
      await sleep(20);
    }
  }

  /** What is in use when nobody is connected: after a first connection, so that its figures have been written. */
  async untouched(): Promise<Sample> {
    const peer = await Peer.connect(this.ports.echo);
    await peer.end();
    return this.until(({ accepted, sessions }) => accepted > 0 && sessions === 0);
  }

  /** Stops it in order. Rejects when it could not, or when something was left. */
  async stop(): Promise<void> {
    this.process.send('stop');
    const overdue = setTimeout(() => this.process.kill('SIGKILL'), PATIENCE);
    const [code, signal] = await this.ended;
    clearTimeout(overdue);
    if (code !== 0) throw new Error(`the server ended with ${signal ?? code}`);
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  async #hear(): Promise<FromServer> {
    const gone = this.ended.then(([code, signal]) => {
      throw new Error(`the server ended with ${signal ?? code}`);
    });
    const [answer] = await Promise.race([once(this.process, 'message'), gone]);
    return answer;
  }
}

/** A process of peers. */
export class Client {
  readonly process: ChildProcess;
  readonly failures: string[] = [];
  tally: Tally = { done: {}, bytes: 0 };
  readonly #ended: Promise<unknown>;

  constructor(options: ClientOptions, program = 'client') {
    this.process = start(program, options, [], []);
    this.#ended = once(this.process, 'close');
    this.process.on('message', (told: FromClient) => {
      if ('tally' in told) this.tally = told.tally;
      else this.failures.push(told.failure);
    });
  }

  /** Lets it end what it has begun. */
  async stop(): Promise<void> {
    if (this.process.connected) this.process.send('stop');
    await this.#ended;
    const { exitCode, signalCode } = this.process;
    if (exitCode !== 0) this.failures.push(`a client ended with ${signalCode ?? exitCode}`);
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.#ended;
  }
}
