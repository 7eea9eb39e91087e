// What the tests share: an example as a child process, and a TCP client that reads lines.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';

export interface Running {
  /** The first line that it printed. */
  readonly line: string;
  readonly port: number;
  /** The next line that it prints. */
  readonly nextLine: () => Promise<string>;
  /** Sends SIGINT, and expects that the example ends by itself without an error. */
  readonly stop: () => Promise<void>;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly exited: Promise<unknown[]>;
}

/** Starts an example on a free port. It is killed with the test. */
export async function start(backend: string, name: string, ...args: string[]): Promise<Running> {
  const child = spawn(process.execPath, [pathOf(name), '0', ...args], {
    env: { ...process.env, ...environmentOf(backend) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async () => (await lines.next()).value ?? '';
  const line = await nextLine();
  const port = Number(/on port (\d+)/.exec(line)?.[1]);
  expect(port, line).toBeGreaterThan(0);
  return {
    line,
    port,
    nextLine,
    exited,
    kill: (signal) => void child.kill(signal),
    async stop() {
      child.kill('SIGINT');
      // Windows has no signals: kill() ends the process at once.
      expect(await exited).toEqual(process.platform === 'win32' ? [null, 'SIGINT'] : [0, null]);
    },
  };
}

export function pathOf(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}

/** `default` is what this system has. */
export function environmentOf(backend: string): Record<string, string> {
  return backend === 'default' ? {} : { OVERLAPPED_BACKEND: backend };
}

export interface LineClient {
  readonly socket: Socket;
  /** The next line that the server sends; "(end)" after its end. */
  readonly read: () => Promise<string>;
  readonly write: (text: string) => void;
}

/** A client that is destroyed with the test. */
export function lineClient(port: number): LineClient {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  onTestFinished(() => void socket.destroy());
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  return {
    socket,
    read: async () => (await lines.next()).value ?? '(end)',
    write: (text) => void socket.write(text),
  };
}
