// A client's session: it hands bytes to the client, and the client sends through it.

import { type IocpCore, Session, Timer } from '@overlapped/session';
import { Client } from './client.js';
import type { Kv } from './kv.js';

/** Milliseconds that a client has to hang up after its last reply. */
const LINGER = 1000;

/** The class of the sessions of a server. */
export function sessionsOf(kv: Kv, { timers }: IocpCore): new () => Session {
  return class KvSession extends Session {
    readonly #client = new Client(kv, this);
    readonly #linger = new Timer(() => this.destroy());

    override onReceive(data: Buffer): void {
      this.#client.receive(data);
    }

    override onDrain(): void {
      this.#client.drained();
    }

    override onSend(): void {
      if (this.#client.closing && this.bytesQueued === 0) timers.set(this.#linger, LINGER);
    }

    override onDisconnected(): void {
      timers.clear(this.#linger);
      this.#client.closed();
    }
  };
}
