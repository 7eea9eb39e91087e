// Shared by the tests: servers on each backend, the real one, a raw client, and the command as a child process.

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { internalsOf } from '@overlapped/net-core/internal';
import { type BackendName, candidates } from '@overlapped/session';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../../vitest.ports.js';
import { type KvServer, startKv } from '../src/server.js';

const required = process.env.OVERLAPPED_REQUIRE === 'all';

/** The platform's own backend must be there when all are required. */
const NATIVE: Partial<Record<NodeJS.Platform, BackendName>> = { linux: 'io_uring', win32: 'iocp' };

/** Runs a suite on every backend that is available here. */
export function onEachBackend(suite: (backend: BackendName) => void): void {
  for (const { name, availability } of candidates()) {
    if (availability.available) describe(name, () => suite(name));
    else if (required && NATIVE[process.platform] === name)
      test(`${name}: ${availability.reason}`, () => expect.fail());
    else test.skip(`${name}: ${availability.reason}`, () => {});
  }
}

/** Why tests that need a program cannot run here, or undefined when they can, or must. */
export function whyNoProgram(name: string): string | undefined {
  const missing = spawnSync(name, ['--version']).error !== undefined;
  return missing && !(required && process.platform === 'linux') ? `${name} is not installed` : undefined;
}

/** A server in this process, stopped with the test. */
export async function serveHere(backend?: BackendName): Promise<KvServer & { readonly port: number }> {
  const server = await startKv({ host: '127.0.0.1', port: 0, ...(backend && { backend }) });
  onTestFinished(async () => {
    await server.core.stop(1000);
    expect(internalsOf(server.core).port.stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0, dropped: 0 });
  });
  return { ...server, port: server.listener.endpoint.port };
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function execute(program: string, args: readonly string[], input = ''): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === 'number') resolve({ code, stdout, stderr });
      else reject(error);
    });
    child.stdin!.end(input);
  });
}

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

export function run(...args: string[]): Promise<Outcome> {
  return execute(process.execPath, [CLI, ...args]);
}

/** Starts the built command on a free port. It is killed with the test. */
export async function serve(...args: string[]) {
  const child = spawn(process.execPath, [CLI, '--port', '0', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  onTestFinished(() => end(child, exited));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, line, port: Number(/:(\d+),/.exec(line)?.[1]), exited };
}

async function end(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  child.kill('SIGKILL');
  await exited;
}

/** Starts the real server on a free port, with one database, keeping nothing. */
export async function serveRedis(): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> {
  const port = await freePort();
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--databases', 1];
  const child = spawn('redis-server', args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  for (let line = await lines.next(); !line.done; line = await lines.next()) {
    if (/ready to accept connections/i.test(line.value)) return { port, stop: () => end(child, exited) };
  }
  throw new Error('redis-server ended at once');
}

/** A raw connection, closed with the test. */
export class RawClient {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #changed: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#changed();
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#changed());
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Sends a request as an array of strings. */
  request(...args: (string | Buffer)[]): void {
    this.socket.write(encode(args));
  }

  /** The received bytes up to the first occurrence of some, with these. Rejects when the connection closes before. */
  async readTo(mark: string | Buffer): Promise<Buffer> {
    for (;;) {
      const at = this.#received.indexOf(mark);
      if (at >= 0) return this.#take(at + mark.length);
      if (this.socket.closed) throw new Error(`closed after ${this.#received.toString('latin1')}`);
      await this.#change();
    }
  }

  async read(length: number): Promise<string> {
    while (this.#received.length < length && !this.socket.closed) await this.#change();
    return this.#take(length).toString('latin1');
  }

  /** All that comes until the server closes the connection. */
  async readAll(): Promise<string> {
    while (!this.socket.closed) await this.#change();
    return this.#take(this.#received.length).toString('latin1');
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }

  #take(length: number): Buffer {
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }
}

/** The model encoder: a request as an array of strings. */
export function encode(args: readonly (string | Buffer)[]): Buffer {
  const pieces = args.flatMap((arg) => {
    const bytes = typeof arg === 'string' ? Buffer.from(arg, 'latin1') : arg;
    return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')];
  });
  return Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...pieces]);
}
