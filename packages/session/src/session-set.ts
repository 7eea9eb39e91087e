// What a listener and a connector share: the sessions that they made, their watermarks, and how these end together.

import type { PortSocket } from '@overlapped/iocp-native';
import { type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import { type SessionKind, sessionFactory } from './handlers.js';
import { openSession, type Session, type SessionHost } from './session.js';

export interface SessionOptions {
  /** What each session does: a subclass of Session, or an object of handlers. */
  readonly session: SessionKind;
  /** Queued bytes above which send() says false. Default 262,144. */
  readonly highWatermark?: number;
  /** Queued bytes at which onDrain follows. Default a quarter of the high watermark. */
  readonly lowWatermark?: number;
}

/** Milliseconds that sessions have to end in order. */
export const DEFAULT_GRACE = 5000;
const DEFAULT_HIGH_WATERMARK = 262_144;

export class SessionSet implements SessionHost, Stoppable {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly sessions = new Set<Session>();
  readonly #core: IocpCore;
  readonly #makeSession: () => Session;
  #emptied: (() => void) | undefined;

  /** Throws a RangeError when the watermarks make no sense. */
  constructor(core: IocpCore, options: SessionOptions) {
    const { highWatermark = DEFAULT_HIGH_WATERMARK, lowWatermark = highWatermark >> 2 } = options;
    if (!(lowWatermark >= 0 && lowWatermark <= highWatermark)) {
      throw new RangeError(`the watermarks must be 0 <= low <= high, not ${lowWatermark} and ${highWatermark}`);
    }
    this.highWatermark = highWatermark;
    this.lowWatermark = lowWatermark;
    this.#core = core;
    this.#makeSession = sessionFactory(options.session);
  }

  /** Makes the session of a new connection and opens it. The core has admitted it. */
  open(socket: PortSocket): Session {
    const session = this.#makeSession();
    this.sessions.add(session);
    openSession(session, this.#core, socket, this);
    return session;
  }

  closed(session: Session): void {
    this.sessions.delete(session);
    this.#core.dismiss();
    if (this.sessions.size === 0) this.#emptied?.();
  }

  /** Ends all sessions; those that have not ended after `grace` milliseconds are destroyed. */
  async stop(grace: number): Promise<void> {
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
