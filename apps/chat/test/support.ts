// Shared by the tests: the built command as a child process, a client that speaks the protocol by hand, and a Redis.

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { candidates } from '@overlapped/session';
import { describe, expect, onTestFinished, test } from 'vitest';

export const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

const available = candidates().filter(({ availability }) => availability.available);

/** How a server can be run here. */
export const ways = available.flatMap(({ name: backend }) =>
  (backend === 'portable' ? [0] : [0, 2]).map((threads) => ({ backend, threads })),
);

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command to its end, with `input` typed. */
export function run(args: readonly string[], input = ''): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [CLI, ...args], { timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === 'number') resolve({ code, stdout, stderr });
      else reject(error);
    });
    child.stdin!.end(input);
  });
}

export interface Started {
  readonly child: ChildProcess;
  /** The next line of its output. */
  readonly nextLine: () => Promise<string>;
  /** Its standard error. */
  readonly complaints: () => string;
  /** The exit code; null when a signal ended it. */
  readonly exited: Promise<number | null>;
}

/** Starts a command, which is killed with the test. */
function start(command: string, args: readonly string[]): Started {
  const child = spawn(command, args, { stdio: 'pipe' });
  let complaints = '';
  child.stderr.on('data', (data) => {
    complaints += data;
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, exited, nextLine: async () => (await lines.next()).value ?? '', complaints: () => complaints };
}

/** Starts the command in the background. */
export function startCommand(...args: string[]): Started {
  return start(process.execPath, [CLI, ...args]);
}

/** Starts `chat serve` on a free port. */
export async function serve(...args: string[]): Promise<Started & { readonly line: string; readonly port: number }> {
  const started = startCommand('--port', '0', ...args);
  const line = await started.nextLine();
  return { ...started, line, port: Number(/:(\d+),/.exec(line)?.[1]) };
}

type Message = Record<string, unknown>;

/** A client of the protocol: frames that begin with their length in 2 bytes, big-endian, of JSON. */
export class Client {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  #bytes = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.once('close', resolve));
  }

  /** Connects; with a name it joins a room. */
  static async connect(port: number, name?: string, room = 'lobby'): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1' });
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    const client = new Client(socket);
    if (name !== undefined) await client.join(room, name);
    return client;
  }

  async join(room: string, name: string): Promise<void> {
    this.write({ type: 'join', room, name });
    expect(await this.#nextOf('joined')).toEqual({ type: 'joined', room });
  }

  say(text: string): void {
    this.write({ type: 'say', text });
  }

  write(message: Message | string): boolean {
    const body = Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
    const frame = Buffer.alloc(2 + body.length);
    frame.writeUInt16BE(body.length);
    body.copy(frame, 2);
    return this.socket.write(frame);
  }

  async next(): Promise<Message> {
    while (this.#bytes.length < 2 || this.#bytes.length < 2 + this.#bytes.readUInt16BE()) {
      this.#bytes = Buffer.concat([this.#bytes, await this.#read()]);
    }
    const end = 2 + this.#bytes.readUInt16BE();
    const message = JSON.parse(this.#bytes.toString('utf8', 2, end));
    this.#bytes = this.#bytes.subarray(end);
    return message;
  }

  /** The next text, as "name: text". */
  async hear(): Promise<string> {
    const { name, text } = await this.#nextOf('said');
    return `${name}: ${text}`;
  }

  /** The next message but for `entered` and `left`. */
  async #nextOf(type: string): Promise<Message> {
    for (;;) {
      const message = await this.next();
      if (message.type === 'entered' || message.type === 'left') continue;
      expect(message.type).toBe(type);
      return message;
    }
  }

  /** Reads once. Nothing is read but here. */
  #read(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.socket.once('data', (bytes) => {
        this.socket.pause();
        resolve(bytes);
      });
      this.closed.then(() => reject(new Error('the server ended it')));
      this.socket.resume();
    });
  }
}

/** Runs a suite where there is a Redis server to test with. */
export function withRedis(suite: () => void): void {
  if (spawnSync('redis-server', ['--version']).status === 0) {
    describe('with a Redis', { timeout: 60_000 }, suite);
    return;
  }
  const reason = 'redis-server is not installed (Debian has it)';
  if (process.env.OVERLAPPED_REQUIRE === 'all') test(`back plane: ${reason}`, () => expect.fail());
  else test.skip(`back plane: ${reason}`, () => {});
}

/** A Redis of the test's own, which keeps nothing. Resolves when it takes connections. */
export async function startRedis(port: number): Promise<Started> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const redis = start('redis-server', args);
  for (let line = ''; !line.includes('Ready to accept connections'); line = await redis.nextLine()) {
    if (redis.child.exitCode !== null) throw new Error('redis-server does not start');
  }
  return redis;
}
