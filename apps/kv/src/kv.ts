// State that the clients of one server share. One thread serves them, so no client sees a change half done.

import { ReplyWriter } from './resp/reply.js';
import { Store } from './store.js';

export class Kv {
  readonly store: Store;
  readonly reply = new ReplyWriter();
  /** Connections and commands are counters; clients are those connected now. */
  readonly stats = { connections: 0, clients: 0, commands: 0 };
  readonly #started = performance.now();

  /** @param wake has store.sweep() called once, in `delay` milliseconds. */
  constructor(wake: (delay: number) => void) {
    this.store = new Store(wake);
  }

  /** Whole seconds. */
  get uptime(): number {
    return Math.floor((performance.now() - this.#started) / 1000);
  }
}
