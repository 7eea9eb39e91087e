// Two thousand clients at a time on each backend that can serve here, on the main thread and in worker threads: every byte
// is verified, a quarter of the clients are cut off in the middle, and when everything has stopped nothing is left behind.

import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { internalsOf } from '@overlapped/net-core/internal';
import { type BackendName, Connector, candidates, IocpCore, Session } from '@overlapped/session';
import { describe, expect, test } from 'vitest';
import { Pattern } from '../src/pattern.js';
import { startEcho } from '../src/server.js';
import { eventually } from './support.js';

interface Counts {
  /** Send their rounds, verify them, and end. */
  readonly complete: number;
  /** The same, but stay until the server ends. */
  readonly stay: number;
  /** Are destroyed while they send: sessions of ours, and sockets of node:net. */
  readonly cut: number;
  readonly cutByNode: number;
}

const WARM_UP: Counts = { complete: 5, stay: 5, cut: 5, cutByNode: 6 };
const LOAD: Counts = { complete: 1400, stay: 100, cut: 250, cutByNode: 250 };

const ROUNDS = [1, 64, 3000, 20_000];
const LARGE = 65_536;
const pattern = new Pattern(LARGE);

/** The backend that each platform must have when OVERLAPPED_REQUIRE is `all`. */
const NATIVE: Partial<Record<NodeJS.Platform, BackendName>> = { linux: 'io_uring', win32: 'iocp' };

let next = 0;

/** Sends its rounds one after the other, verifies each, and ends. */
class Complete extends Session {
  readonly number = next++;
  /** Whether all rounds came back as they were sent. */
  verified = false;
  /** Why it ended, once it has. */
  readonly over: Promise<Error | undefined>;
  #end!: (error?: Error) => void;
  #sent = 0;
  #received = 0;
  #round = 0;

  constructor() {
    super();
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  start(): void {
    const length = ROUNDS[this.#round++];
    if (length === undefined) {
      this.finish();
      return;
    }
    this.send(pattern.at(this.number, this.#sent, length));
    this.#sent += length;
  }

  finish(): void {
    this.verified = true;
    this.end();
  }

  override onReceive(data: Buffer): void {
    const wrong = pattern.difference(this.number, this.#received, data);
    if (wrong >= 0) throw new Error(`byte ${this.#received + wrong} of client ${this.number} came back changed`);
    this.#received += data.length;
    if (this.#received === this.#sent) this.start();
  }

  override onDisconnected(error?: Error): void {
    this.#end(error);
  }
}

/** Stays until the server ends. */
class Stay extends Complete {
  override finish(): void {
    this.verified = true;
  }
}

/** Sends, and is gone at the first byte of the answer, with more on its way. */
class Cut extends Complete {
  override start(): void {
    this.send(pattern.at(this.number, 0, LARGE));
  }

  override onReceive(): void {
    this.send(pattern.at(this.number, LARGE, LARGE));
    this.destroy();
  }
}

async function cutSocket(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  return socket;
}

/** Half of them by a reset, half by a close that leaves bytes unread. */
async function cutOff(socket: Socket, number: number): Promise<void> {
  const closed = once(socket, 'close');
  socket.on('error', () => {});
  socket.write(pattern.at(number, 0, LARGE));
  socket.once('data', () => {
    socket.write(pattern.at(number, LARGE, LARGE));
    if (number % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
  });
  await closed;
}

/** Connects all of one kind, some at a time. */
async function connectAll<T>(count: number, connectOne: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  while (all.length < count) {
    const some = Math.min(200, count - all.length);
    all.push(...(await Promise.all(Array.from({ length: some }, connectOne))));
  }
  return all;
}

function connectSessions<T extends Session>(core: IocpCore, kind: new () => T, count: number, port: number) {
  const connector = new Connector(core, { session: kind });
  return connectAll(count, () => connector.connect({ host: '127.0.0.1', port }) as Promise<T>);
}

async function load(backend: BackendName, threads: number, counts: Counts): Promise<void> {
  const { core, listener } = await startEcho({ host: '127.0.0.1', port: 0, backend, threads });
  expect(core.threads).toBe(threads);
  const clientCore = new IocpCore({ backend });
  const { port } = listener.endpoint;
  const complete = await connectSessions(clientCore, Complete, counts.complete, port);
  const stay = await connectSessions(clientCore, Stay, counts.stay, port);
  const cut = await connectSessions(clientCore, Cut, counts.cut, port);
  const sockets = await connectAll(counts.cutByNode, () => cutSocket(port));
  const total = complete.length + stay.length + cut.length + sockets.length;
  expect(await eventually(() => core.stats().total.sessions === total)).toBe(true);

  for (const session of [...complete, ...stay, ...cut]) session.start();
  await Promise.all(sockets.map(cutOff));
  const errors = await Promise.all([...complete, ...cut].map(({ over }) => over));
  expect(errors.filter((error) => error !== undefined)).toEqual([]);
  expect(await eventually(() => stay.every(({ verified }) => verified))).toBe(true);
  expect(complete.every(({ verified }) => verified)).toBe(true);

  // Only those that stay are still there, and they hold nothing.
  const held = () => {
    const { sessions, bytesQueued, receiveBuffers, sendBuffers, droppedPackets } = core.stats().total;
    return { sessions, bytesQueued, receiveBuffers, sendBuffers, droppedPackets };
  };
  const nothing = { bytesQueued: 0, receiveBuffers: 0, sendBuffers: 0, droppedPackets: 0 };
  await eventually(() => isDeepStrictEqual(held(), { sessions: stay.length, ...nothing }));
  expect(held()).toEqual({ sessions: stay.length, ...nothing });
  expect(listener.sessions.size).toBe(threads === 0 ? stay.length : 0);
  expect(internalsOf(core).port.stats.sockets).toBe(listener.sessions.size + 1);

  await core.stop();
  expect(await Promise.all(stay.map(({ over }) => over))).toEqual(stay.map(() => undefined));
  await clientCore.stop();
  for (const stopped of [core, clientCore]) expectEmpty(stopped);
  expect(held()).toEqual({ sessions: 0, ...nothing });
}

function expectEmpty(core: IocpCore): void {
  expect(internalsOf(core).port.stats).toMatchObject({ sockets: 0, inFlight: 0, buffersOut: 0, dropped: 0 });
  const { events, sendBuffers } = core.stats().own;
  expect({ events, sendBuffers, timers: core.timers.size }).toEqual({ events: 0, sendBuffers: 0, timers: 0 });
}

function descriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}

/** Resources that keep the event loop alive now and did not before. */
function resourcesSince(before: readonly string[]): string[] {
  const more = process.getActiveResourcesInfo();
  for (const kind of before) if (more.includes(kind)) more.splice(more.indexOf(kind), 1);
  return more;
}

describe.each(candidates())('$name', ({ name, availability }) => {
  // The portable backend has no worker threads.
  const ways = name === 'portable' ? [0] : [0, 2];
  test.for(ways)(
    'serves two thousand clients with %d worker threads and leaves nothing behind',
    { timeout: 180_000 },
    async (threads, context) => {
      if (!availability.available) {
        const required = process.env.OVERLAPPED_REQUIRE === 'all' && NATIVE[process.platform] === name;
        if (required) expect.fail(`${name} is required here: ${availability.reason}`);
        context.skip(`${name} is not available: ${availability.reason}`);
      }
      // Objects that are made once, at the first use, exist before the counting starts.
      await load(name, threads, WARM_UP);
      const opened = descriptors();
      const resources = process.getActiveResourcesInfo();
      await load(name, threads, LOAD);
      await eventually(() => descriptors() <= opened && resourcesSince(resources).length === 0);
      expect({ descriptors: descriptors(), resources: resourcesSince(resources) }).toEqual({
        descriptors: opened,
        resources: [],
      });
    },
  );
});
