// Shared sessions where there is no shared port: the same handlers, with the same turns, in sessions of the core's own thread.

import type { Endpoint } from '@overlapped/iocp-native';
import type { SharedSessions } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { bytesOf, ownCopy } from '../bytes.js';
import { asError, isThenable } from '../outcomes.js';
import { Session } from '../session/session.js';
import type { SharedKind } from './load-kind.js';
import { kAttach, kBind, kUnbind, type SharedSession, type TurnHost } from './shared-session.js';
import { StateLayout, stateMemory } from './state/layout.js';

/** The sessions of a core, by their ids. */
class LocalSessions implements SharedSessions {
  readonly byId = new Map<number, LocalSession>();
  readonly #core: Core;
  #nextId = 1;

  constructor(core: Core) {
    this.#core = core;
  }

  add(session: LocalSession): number {
    const id = this.#nextId++;
    this.byId.set(id, session);
    return id;
  }

  send(id: number, data: Uint8Array | string): boolean {
    return this.byId.get(id)?.send(data) ?? false;
  }

  tell(id: number, message: Uint8Array | string): boolean {
    const session = this.byId.get(id);
    if (session === undefined) return false;
    // A turn of its own: not inside the handler that tells it.
    const copy = ownCopy(bytesOf(message) as Buffer);
    this.#core.post({ onPost: () => session.onMessage(copy) }, undefined);
    return true;
  }
}

/** What a view needs of the session that calls its handlers. */
class LocalHost implements TurnHost {
  readonly #session: Session;
  readonly #sessions: LocalSessions;

  constructor(session: Session, sessions: LocalSessions) {
    this.#session = session;
    this.#sessions = sessions;
  }

  send(id: number, data: Uint8Array | string): boolean {
    return this.#sessions.send(id, data);
  }

  tell(id: number, message: Uint8Array | string): boolean {
    return this.#sessions.tell(id, message);
  }

  // Slot and id are those of the one session.

  sendTo(_slot: number, _id: number, bytes: Uint8Array): boolean {
    return this.#session.send(bytes);
  }

  end(): void {
    this.#session.end();
  }

  destroy(_view: SharedSession, error: Error | undefined): void {
    this.#session.destroy(error);
  }

  queued(): number {
    return this.#session.bytesQueued;
  }

  endpoint(_slot: number, which: 'remote' | 'local'): Endpoint | undefined {
    return this.#session[which];
  }
}

/** A session of the core's thread that has the handlers of a shared one. */
class LocalSession extends Session {
  readonly #view: SharedSession;
  readonly #sessions: LocalSessions;
  readonly #host: LocalHost;
  #id = 0;
  /** A handler's promise has not settled. */
  #busy = false;
  /** Handlers that wait for that. */
  readonly #due: (() => unknown)[] = [];

  constructor(view: SharedSession, sessions: LocalSessions) {
    super();
    this.#view = view;
    this.#sessions = sessions;
    this.#host = new LocalHost(this, sessions);
  }

  override onConnected(): unknown {
    this.#id = this.#sessions.add(this);
    return this.#turn(() => this.#view.onConnected());
  }

  override onReceive(data: Buffer): unknown {
    return this.#turn(() => this.#view.onReceive(data));
  }

  override onDrain(): unknown {
    return this.#turn(() => this.#view.onDrain());
  }

  override onDisconnected(error?: Error): unknown {
    this.#sessions.byId.delete(this.#id);
    return this.#turn(() => this.#view.onDisconnected(error));
  }

  /** A handler of a message that fails closes the session, as others do. */
  onMessage(message: Buffer): void {
    try {
      const result = this.#turn(() => this.#view.onMessage(message));
      if (isThenable(result)) result.then(undefined, (error) => this.destroy(asError(error)));
    } catch (error) {
      this.destroy(asError(error));
    }
  }

  /** Runs a handler with the view, now or when the turn before is over. Gives a promise when it is not over with this call. */
  #turn(handler: () => unknown): unknown {
    if (this.#busy) {
      return new Promise((resolve, reject) => {
        this.#due.push(() =>
          Promise.resolve()
            .then(() => this.#turn(handler))
            .then(resolve, reject),
        );
      });
    }
    this.#view[kBind](this.#host, 0, this.#id);
    let result: unknown;
    try {
      result = handler();
    } finally {
      if (!isThenable(result)) this.#view[kUnbind]();
    }
    if (!isThenable(result)) {
      this.#due.shift()?.();
      return undefined;
    }
    this.#busy = true;
    this.pause();
    const over = () => {
      this.#busy = false;
      this.#view[kUnbind]();
      this.resume();
      this.#due.shift()?.();
    };
    return Promise.resolve(result).finally(over);
  }
}

/** The class of sessions on the core's thread that have the handlers of a user's class. */
export function localKind(core: Core, kind: SharedKind): new () => Session {
  const layout = new StateLayout(kind.state ?? {});
  core.sharedSessions ??= new LocalSessions(core);
  const sessions = core.sharedSessions as LocalSessions;
  return class extends LocalSession {
    constructor() {
      const view = new kind();
      const memory = stateMemory(new ArrayBuffer(layout.size));
      view[kAttach](layout.createView(memory), layout.size);
      super(view, sessions);
    }
  };
}
