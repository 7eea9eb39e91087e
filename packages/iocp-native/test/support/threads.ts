// Other threads: some post to a port, some have ports. They run the built package: a worker of Node reads no TypeScript.

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect } from 'vitest';
import { openPoster } from '../../src/backend.js';
import type { BackendName, Endpoint, PortToken } from '../../src/contract/port.js';
import { createLedger, type OwnedRecord, takeRecords } from '../../src/native/ledger.js';
import { Waits } from './waits.js';

export const library = new URL('../../dist/index.js', import.meta.url).href;

/**
 * Starts a thread that posts `count` packets (key, 0), (key, 1) ..., each up to `spread` microseconds after the one
 * before, and adds to `posted`. Resolves when the thread has ended.
 */
export function postFromThread(
  token: PortToken,
  key: number,
  count: number,
  { spread = 0, posted = new Int32Array(new SharedArrayBuffer(4)) } = {},
): Promise<void> {
  if (!existsSync(new URL(library))) throw new Error('build the package first: pnpm build');
  const worker = new Worker(new URL('./poster.js', import.meta.url), {
    workerData: { library, token, key, count, spread, posted },
  });
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', () => resolve());
  });
}

/** A thread with a port of its own that adopts the handles that are posted to it, as keys, and echoes. */
export async function echoInThread(backend: BackendName) {
  const worker = new Worker(new URL('./echoer.js', import.meta.url), { workerData: { library, backend } });
  const [token] = (await once(worker, 'message')) as [PortToken];
  const poster = openPoster(token);
  const exit = once(worker, 'exit');
  return {
    poster,
    /** Key 0 asks the thread to end, once its connections have. */
    async stop(): Promise<void> {
      expect(poster.post(0, 0)).toBe(true);
      expect(await exit).toEqual([0]);
    },
  };
}

/** What is in a ledger, which stays as it is. */
export function recordsOf(ledger: SharedArrayBuffer): OwnedRecord[] {
  const copy = new SharedArrayBuffer(ledger.byteLength);
  new Uint8Array(copy).set(new Uint8Array(ledger));
  return takeRecords(copy);
}

/** A thread with a port and a ledger: see owner.js. */
export class Owner {
  readonly ledger = createLedger();
  readonly worker: Worker;
  token!: PortToken;
  local!: Endpoint;
  readonly #start = new Int32Array(new SharedArrayBuffer(4));
  readonly #exit: Promise<unknown>;
  readonly #messages: string[] = [];
  readonly #waits = new Waits();

  private constructor(backend: BackendName, waits: boolean, path?: string) {
    const { ledger } = this;
    const start = this.#start.buffer;
    this.worker = new Worker(new URL('./owner.js', import.meta.url), {
      workerData: { library, backend, ledger, start, waits, path },
    });
    this.#exit = once(this.worker, 'exit');
    this.worker.on('message', (message: string) => {
      this.#messages.push(message);
      this.#waits.check();
    });
  }

  /**
   * @param path where it listens; default: an address.
   * @param waits whether the thread waits in dequeue(), or is a guest of its event loop.
   */
  static async open(backend: BackendName, waits: boolean, path?: string): Promise<Owner> {
    const owner = new Owner(backend, waits, path);
    const [{ token, local }] = (await once(owner.worker, 'message')) as [{ token: PortToken; local: Endpoint }];
    owner.token = token;
    owner.local = local;
    owner.#messages.length = 0;
    return owner;
  }

  /** The thread begins to serve its port. */
  start(): this {
    Atomics.store(this.#start, 0, 1);
    Atomics.notify(this.#start, 0);
    return this;
  }

  /** Waits for so many messages of the thread. */
  async heard(message: string, count = 1): Promise<void> {
    const heard = () => this.#messages.filter((text) => text === message).length;
    await this.#waits.until(`"${message}" ${count} times`, () => heard() >= count);
  }

  async ended(): Promise<void> {
    await this.#exit;
  }

  async terminate(): Promise<void> {
    await this.worker.terminate();
    await this.#exit;
  }
}
