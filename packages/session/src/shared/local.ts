// Shared sessions where there is no shared port: the same handlers, with the same turns, in sessions of the core's own thread.

import type { Endpoint } from '@overlapped/iocp-native';
import type { SharedSessions } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { bytesOf, ownCopy } from '../bytes.js';
import { encodeFrame, type Framer } from '../framing/framer.js';
import { PacketSession } from '../framing/packet-session.js';
import { asError, isThenable } from '../outcomes.js';
import { Session } from '../session/session.js';
import type { SharedKind } from './load-kind.js';
import { SharedPacketSession } from './shared-packet-session.js';
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
    this.#core.post({ onPost: () => session.turns.message(copy) }, undefined);
    return true;
  }
}

/** The turns of one session, and the members that its view calls. */
class LocalTurns implements TurnHost {
  readonly #session: LocalSession;
  readonly #view: SharedSession;
  readonly #sessions: LocalSessions;
  #id = 0;
  /** A handler's promise has not settled. */
  #busy = false;
  /** Handlers that wait for that. */
  readonly #due: (() => unknown)[] = [];

  constructor(session: LocalSession, view: SharedSession, sessions: LocalSessions) {
    this.#session = session;
    this.#view = view;
    this.#sessions = sessions;
  }

  connected(): unknown {
    this.#id = this.#sessions.add(this.#session);
    return this.run((view) => view.onConnected());
  }

  disconnected(error: Error | undefined): unknown {
    this.#sessions.byId.delete(this.#id);
    return this.run((view) => view.onDisconnected(error));
  }

  /** A handler of a message that fails closes the session, as others do. */
  message(message: Buffer): void {
    try {
      const result = this.run((view) => view.onMessage(message));
      if (isThenable(result)) result.then(undefined, (error) => this.#session.destroy(asError(error)));
    } catch (error) {
      this.#session.destroy(asError(error));
    }
  }

  /** Runs a handler with the view, now or when the turn before is over. Gives a promise when it is not over with this call. */
  run(handler: (view: SharedSession) => unknown): unknown {
    if (this.#busy) {
      return new Promise((resolve, reject) => {
        this.#due.push(() =>
          Promise.resolve()
            .then(() => this.run(handler))
            .then(resolve, reject),
        );
      });
    }
    this.#view[kBind](this, 0, this.#id);
    let result: unknown;
    try {
      result = handler(this.#view);
    } finally {
      if (!isThenable(result)) this.#view[kUnbind]();
    }
    if (!isThenable(result)) {
      this.#due.shift()?.();
      return undefined;
    }
    this.#busy = true;
    this.#session.pause();
    const over = () => {
      this.#busy = false;
      this.#view[kUnbind]();
      this.#session.resume();
      this.#due.shift()?.();
    };
    return Promise.resolve(result).finally(over);
  }

  // TurnHost. Slot and id are those of the one session.

  send(id: number, data: Uint8Array | string): boolean {
    return this.#sessions.send(id, data);
  }

  tell(id: number, message: Uint8Array | string): boolean {
    return this.#sessions.tell(id, message);
  }

  sendTo(_slot: number, _id: number, bytes: Uint8Array): boolean {
    return this.#session.send(bytes);
  }

  sendFrame(_slot: number, _id: number, framer: Framer, body: Uint8Array): boolean {
    return this.#session.send(encodeFrame(framer, body));
  }

  join(_slot: number, group: string): void {
    this.#session.join(group);
  }

  leave(_slot: number, group: string): void {
    this.#session.leave(group);
  }

  broadcast(data: Uint8Array | string, group: string): boolean {
    return this.#session.broadcast(data, group);
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
type LocalSession = Session & { readonly turns: LocalTurns };

/** The kind of the core's own sessions that call the handlers of a user's class. */
export function localKind(core: Core, kind: SharedKind): new () => Session {
  const layout = new StateLayout(kind.state ?? {});
  core.sharedSessions ??= new LocalSessions(core);
  const sessions = core.sharedSessions as LocalSessions;
  const turnsOf = (session: LocalSession) => {
    const view = new kind();
    const memory = stateMemory(new ArrayBuffer(layout.size));
    view[kAttach](layout.createView(memory), layout.size);
    return new LocalTurns(session, view, sessions);
  };
  if (!(kind.prototype instanceof SharedPacketSession)) {
    return class extends Session {
      readonly turns = turnsOf(this);

      override onConnected(): unknown {
        return this.turns.connected();
      }

      override onReceive(data: Buffer): unknown {
        return this.turns.run((view) => view.onReceive(data));
      }

      override onEnd(): unknown {
        return this.turns.run((view) => view.onEnd());
      }

      override onDrain(): unknown {
        return this.turns.run((view) => view.onDrain());
      }

      override onDisconnected(error?: Error): unknown {
        return this.turns.disconnected(error);
      }
    };
  }
  const { framer } = kind;
  return class extends PacketSession {
    readonly turns = turnsOf(this);

    constructor() {
      super(framer);
    }

    override onConnected(): unknown {
      return this.turns.connected();
    }

    override onPacket(frame: Buffer): unknown {
      return this.turns.run((view) => (view as SharedPacketSession).onPacket(frame));
    }

    override onEnd(): unknown {
      return this.turns.run((view) => view.onEnd());
    }

    override onDrain(): unknown {
      return this.turns.run((view) => view.onDrain());
    }

    override onDisconnected(error?: Error): unknown {
      return this.turns.disconnected(error);
    }
  };
}
