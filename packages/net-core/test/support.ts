// What the tests share: the backends that can serve here, cores that are stopped when their test ends, and promises that
// fail rather than hang.

import { type BackendName, candidates } from '@overlapped/iocp-native';
import { onTestFinished } from 'vitest';
import { Core } from '../src/core.js';
import type { IocpCoreOptions } from '../src/index.js';

export const backends: readonly BackendName[] = candidates()
  .filter(({ availability }) => availability.available)
  .map(({ name }) => name);

/** Each backend with the pumps that it can have. */
export const pumps = backends.flatMap((backend) => {
  const guest = { backend, pump: 'guest', options: { backend } };
  return backend === 'portable'
    ? [guest]
    : [guest, { backend, pump: 'dedicated', options: { backend, dedicated: true } }];
});

/** A small core; the end of the test stops it. */
export function makeCore(options: IocpCoreOptions): Core {
  const core = new Core({ maxSessions: 16, ...options });
  onTestFinished(() => core.stop());
  return core;
}

/** A target that keeps what is posted to it, and resolves `all` when there are `count`. */
export class Inbox<Payload> {
  readonly got: Payload[] = [];
  readonly all: Promise<void>;
  readonly #count: number;
  #resolve!: () => void;

  constructor(count: number) {
    this.#count = count;
    this.all = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  onPost(payload: Payload): void {
    this.got.push(payload);
    if (this.got.length === this.#count) this.#resolve();
  }
}

/** What would end the process, until the end of the test. */
export function catchUncaught(): unknown[] {
  const caught: unknown[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => caught.push(error));
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  });
  return caught;
}

/** The event loop has gone round. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
