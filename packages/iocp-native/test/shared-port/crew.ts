/// <reference lib="es2024.sharedmemory" />
// Threads that wait on a shared port and keep a common log. They run the built package, as a worker reads no TypeScript.

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished } from 'vitest';
import { openSharedPort, type SharedPort, type SharedPortToken } from '../../src/shared-port/index.js';
import { PortMemory } from '../../src/shared-port/memory.js';
import { Event } from './script.js';

/** The built package: a thread reads no TypeScript. */
export const library = new URL('../../dist/internal.js', import.meta.url).href;
const FLAGS = 4096;
const ENTRIES = 65_536;
const PATIENCE = 20_000;

export interface Entry {
  readonly event: number;
  readonly thread: number;
  readonly key: number;
}

/** Polls what no event tells. */
export async function changes(what: string, test: () => boolean): Promise<void> {
  for (const end = performance.now() + PATIENCE; !test(); await new Promise((resolve) => setImmediate(resolve))) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
  }
}

export class Crew {
  readonly token: SharedPortToken;
  readonly port: SharedPort;
  readonly workers: Worker[] = [];
  readonly exits: Promise<unknown>[] = [];
  readonly #log = new Int32Array(new SharedArrayBuffer((2 + ENTRIES * 3) * 4));
  readonly #flags = new Int32Array(new SharedArrayBuffer(FLAGS * 4));

  constructor(token: SharedPortToken) {
    this.token = token;
    this.port = openSharedPort(token);
    onTestFinished(async () => {
      this.port.close();
      // A job that waits for its flag would not notice.
      for (let key = 0; key < FLAGS; key++) this.set(key);
      await Promise.all(this.exits);
    });
  }

  /**
   * Starts threads, and resolves when each of them is about to wait for the first time.
   * @param seen whether a port in memory learns that they sleep. One that it does not see never loses its slot; else it may
   * at any time, as on a busy machine also a thread that computes sleeps now and then, for memory or for a lock.
   */
  async start(count: number, seen = true): Promise<void> {
    if (!existsSync(new URL(library))) throw new Error('build the package first: pnpm build');
    const first = this.workers.length + 1;
    for (let number = first; number < first + count; number++) {
      const workerData = { library, token: this.token, log: this.#log, flags: this.#flags, number, seen };
      const worker = new Worker(new URL('./thread.js', import.meta.url), { workerData });
      this.workers.push(worker);
      this.exits.push(once(worker, 'exit'));
    }
    await this.until('the threads to start', () => this.count(Event.Waits) >= this.workers.length);
  }

  post(key: number, job: number): void {
    expect(this.port.post(key, job)).toBe(true);
  }

  /** Lets the job with this key go on. */
  set(key: number): void {
    Atomics.store(this.#flags, key, 1);
    Atomics.notify(this.#flags, key);
  }

  get log(): Entry[] {
    const reserved = Atomics.load(this.#log, 1);
    const entries = Array.from({ length: reserved }, (_, i) => {
      const [event, thread, key] = this.#log.subarray(2 + i * 3);
      return { event: event!, thread: thread!, key: key! };
    });
    // Not those that are being written, or whose thread was terminated meanwhile.
    return entries.filter(({ event }) => event !== 0);
  }

  count(event: number): number {
    return this.log.filter((entry) => entry.event === event).length;
  }

  has(event: number, key: number): boolean {
    return this.log.some((entry) => entry.event === event && entry.key === key);
  }

  /** The keys in the order in which their jobs started. */
  get started(): number[] {
    return this.log.filter(({ event }) => event === Event.Starts).map(({ key }) => key);
  }

  /** "starts 1", "ends 1" ... in order. */
  get story(): string[] {
    return this.log
      .filter(({ event }) => event === Event.Starts || event === Event.Ends)
      .map(({ event, key }) => `${event === Event.Starts ? 'starts' : 'ends'} ${key}`);
  }

  startsJob(key: number): Promise<void> {
    return this.until(`job ${key} to start`, () => this.has(Event.Starts, key));
  }

  endsJob(key: number): Promise<void> {
    return this.until(`job ${key} to end`, () => this.has(Event.Ends, key));
  }

  /** So many threads wait in line. Of a port of the kernel nobody can tell: there it goes on at once. */
  async lineUp(count: number): Promise<void> {
    if (this.token.kind === 'kernel') return;
    const memory = new PortMemory(this.token.memory);
    await changes(`${count} threads to wait`, () => memory.line.waiting === count);
  }

  /** Waits, entry by entry, for the log to say something. */
  async until(what: string, test: () => boolean): Promise<void> {
    const end = performance.now() + PATIENCE;
    for (let seen = Atomics.load(this.#log, 0); !test(); seen = Atomics.load(this.#log, 0)) {
      if (performance.now() > end)
        throw new Error(`waited in vain for ${what}: ${JSON.stringify(this.log.slice(-20))}`);
      const change = Atomics.waitAsync(this.#log, 0, seen, 1000);
      if (change.async) await change.value;
    }
  }
}
