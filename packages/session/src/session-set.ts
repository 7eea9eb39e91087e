// What a listener and a connector share: the sessions that they made, their watermarks, and how these end together.

import type { PortSocket } from '@overlapped/iocp-native';
import { type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import { type SessionKind, sessionFactory } from './handlers.js';
import { openSession, type Session } from './session.js';

/** How much a session may queue, in bytes. */
export interface Watermarks {
  /** Queued bytes above which send() says false. Default 262,144. */
  readonly highWatermark?: number;
  /** Queued bytes at which onDrain follows. Default a quarter of the high watermark. */
  readonly lowWatermark?: number;
}

/** What the sessions on a core's own thread do. */
export interface SessionOptions extends Watermarks {
  /** What each session does: a subclass of Session, or an object of handlers. */
  readonly session: SessionKind;
}

/** Where sessions come from and go back to: a listener, or a connector. */
export interface SessionHost {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  /** A group that its sessions are in from the start, or null. */
  readonly group: string | null;
  /** The session's Close packet is here; nothing of it is in flight. */
  closed(session: Session): void;
}

/** Milliseconds that sessions have to end in order. */
export const DEFAULT_GRACE = 5000;
const DEFAULT_HIGH_WATERMARK = 262_144;

export class SessionSet implements SessionHost, Stoppable {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly group: string | null;
  readonly sessions = new Set<Session>();
  readonly #core: IocpCore;
  readonly #makeSession: () => Session;
  #emptied: (() => void) | undefined;
  #stopping = false;

  /** Throws a RangeError when the watermarks make no sense. */
  constructor(core: IocpCore, options: SessionOptions, group: string | null = null) {
    const { highWatermark = DEFAULT_HIGH_WATERMARK, lowWatermark = highWatermark >> 2 } = options;
    if (!(lowWatermark >= 0 && lowWatermark <= highWatermark)) {
      throw new RangeError(`the watermarks must be 0 <= low <= high, not ${lowWatermark} and ${highWatermark}`);
    }
    this.highWatermark = highWatermark;
    this.lowWatermark = lowWatermark;
    this.group = group;
    this.#core = core;
    this.#makeSession = sessionFactory(options.session);
  }

  /** Makes the session of a new connection and opens it. The core has admitted it. */
  open(socket: PortSocket): Session {
    const session = this.#makeSession();
    this.sessions.add(session);
    openSession(session, this.#core, socket, this);
    if (this.#stopping) session.end();
    return session;
  }

  closed(session: Session): void {
    this.sessions.delete(session);
    this.#core.dismiss();
    if (this.sessions.size === 0) this.#emptied?.();
  }

  /** Ends all sessions; those that have not ended after `grace` milliseconds are destroyed. */
  async stop(grace: number): Promise<void> {
    this.#stopping = true;
    if (this.sessions.size === 0) return;
    const { timers } = this.#core;
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    const cut = new Timer(() => {
      for (const session of this.sessions) session.destroy();
    });
    timers.set(cut, grace);
    for (const session of this.sessions) session.end();
    await emptied;
    timers.clear(cut);
  }
}
