// What a listener and a connector share: the sessions that they made, their watermarks, and how these end together.

import { IocpError, type PortSocket } from '@overlapped/iocp-native';
import { type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import { type SessionKind, sessionFactory } from './handlers.js';
import { openSession, type Session } from './session.js';

export interface Watermarks {
  /** Queued bytes above which send() says false. Default 262,144. */
  readonly highWatermark?: number;
  /** Queued bytes at which onDrain follows. Default a quarter of the high watermark. */
  readonly lowWatermark?: number;
}

export interface SessionLimits extends Watermarks {
  /**
   * Seconds that a session has to end in order, from its end() or the peer's: what the peer has not taken by then is
   * dropped, and the connection reset, as by SO_LINGER (onDisconnected gets an ETIMEDOUT). 0 resets at once, without an
   * error. Default: as long as it takes.
   *
   * The system's own SO_LINGER is of no use here: it would block, in close, the thread that serves everybody.
   */
  readonly linger?: number;
}

export interface SessionOptions extends SessionLimits {
  /** What each session does: a subclass of Session, or an object of handlers. */
  readonly session: SessionKind;
}

/** Where sessions come from and go back to: a listener, or a connector. */
export interface SessionHost {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  /** A group that its sessions are in from the start, or null. */
  readonly group: string | null;
  /** The session has begun to end in order. May be called again. */
  ending(session: Session): void;
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
  readonly #linger: number | undefined;
  /** What cuts off the sessions that are ending, if there is a limit. */
  readonly #lingering = new Map<Session, Timer>();
  #emptied: (() => void) | undefined;
  #stopping = false;

  /** Throws a RangeError for limits that make no sense. */
  constructor(core: IocpCore, options: SessionOptions, group: string | null = null) {
    const { highWatermark = DEFAULT_HIGH_WATERMARK, lowWatermark = highWatermark >> 2, linger } = options;
    if (!(lowWatermark >= 0 && lowWatermark <= highWatermark)) {
      throw new RangeError(`the watermarks must be 0 <= low <= high, not ${lowWatermark} and ${highWatermark}`);
    }
    if (!(linger === undefined || linger >= 0)) throw new RangeError(`linger must be 0 or more, not ${linger}`);
    this.#linger = linger;
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

  ending(session: Session): void {
    if (this.#linger === undefined || this.#lingering.has(session)) return;
    if (this.#linger === 0) {
      session.destroy();
      return;
    }
    const timer = new Timer(() => session.destroy(lingeredOut()));
    this.#lingering.set(session, timer);
    this.#core.timers.set(timer, this.#linger * 1000);
  }

  closed(session: Session): void {
    const timer = this.#lingering.get(session);
    if (timer) this.#core.timers.clear(timer);
    this.#lingering.delete(session);
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

function lingeredOut(): IocpError {
  return new IocpError('end the connection', 'the peer has not taken everything in time', 'ETIMEDOUT', 'linger');
}
