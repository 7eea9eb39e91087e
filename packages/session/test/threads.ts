// What the tests of worker threads share: a server whose sessions run in two of them, and clients that ask and are answered.

import { once } from 'node:events';
import net from 'node:net';
import type { BackendName } from '@overlapped/iocp-native';
import type { IocpCoreOptions } from '@overlapped/net-core';
import { Core } from '@overlapped/net-core/internal';
// The built package, as the threads' modules see it: a class of another copy is no class of ours.
import { Listener, type ListenOptions, type WorkerSessionOptions } from '@overlapped/session';
import { onTestFinished } from 'vitest';

export const LINE = new URL('./modules/line.js', import.meta.url);

interface Loss {
  readonly error: Error;
  readonly index: number;
}

/** A listener on a core of two threads, which both end with the test. */
export async function serve(options: IocpCoreOptions, more: Partial<ListenOptions & WorkerSessionOptions> = {}) {
  const losses: Loss[] = [];
  let lost = () => {};
  const core = new Core({
    threads: 2,
    maxSessions: 2000,
    onWorkerLost(error, index) {
      losses.push({ error, index });
      lost();
    },
    ...options,
  });
  onTestFinished(() => core.stop(500));
  const listener = await Listener.listen(core, { host: '127.0.0.1', port: 0, module: LINE, ...more });
  const nextLoss = () => new Promise<void>((resolve) => (lost = resolve));
  return { core, listener, losses, nextLoss, port: listener.endpoint.port };
}

export class Client {
  readonly socket: net.Socket;
  readonly closed: Promise<unknown>;

  constructor(port: number) {
    this.socket = net.connect({ port, host: '127.0.0.1' });
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
  }

  async ask(text: string): Promise<string> {
    this.socket.write(text);
    try {
      const [data] = await once(this.socket, 'data');
      return String(data);
    } catch (error) {
      // An error of a socket does not name its test.
      Error.captureStackTrace(error as Error);
      throw error;
    }
  }
}

export async function connect(port: number, count: number): Promise<Client[]> {
  const clients = Array.from({ length: count }, () => new Client(port));
  onTestFinished(() => {
    for (const { socket } of clients) socket.destroy();
  });
  await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
  return clients;
}

/** Clients by the thread that serves them. */
export async function byThread(clients: readonly Client[]): Promise<Map<string, Client[]>> {
  const threads = await Promise.all(clients.map((client) => client.ask('who')));
  const groups = new Map<string, Client[]>();
  for (const [i, thread] of threads.entries()) groups.set(thread, [...(groups.get(thread) ?? []), clients[i]!]);
  return groups;
}

/** Whether a backend's sockets can move between threads. */
export const isNative = (backend: BackendName): boolean => backend !== 'portable';

/** For what other threads do in their own time: looks again each turn of the event loop. The test's limit ends it. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}
