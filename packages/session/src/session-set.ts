// What a listener and a connector share: the sessions that they made, what these are given, and how they end together.

import type { PortSocket } from '@overlapped/iocp-native';
import { type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import { type SessionKind, sessionFactory } from './handlers.js';
import type { Introduction } from './preface.js';
import { QueueLimit, type QueueLimitOptions } from './queue-limit.js';
import { openSession, type Session } from './session.js';
import { Sweep, type Timeouts } from './sweep.js';

export interface Watermarks {
  /** Queued bytes above which send() says false. Default 262,144, or the queue's limit if that is lower. */
  readonly highWatermark?: number;
  /** Queued bytes at which onDrain follows. Default a quarter of the high watermark. */
  readonly lowWatermark?: number;
}

export interface SessionLimits extends Watermarks {
  readonly timeouts?: Timeouts;
  /** Default: none. The watermarks only tell. */
  readonly queueLimit?: QueueLimitOptions;
}

export interface SessionOptions extends SessionLimits {
  /** What each session does: a subclass of Session, or an object of handlers. */
  readonly session: SessionKind;
}

/** Where sessions come from and go back to: a listener, or a connector. */
export interface SessionHost {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly queueLimit: QueueLimit | null;
  /** A group that its sessions are in from the start, or null. */
  readonly group: string | null;
  /** The session's Close packet is here; nothing of it is in flight. */
  closed(session: Session, error: Error | undefined): void;
}

/** Is told of each session that is over, and why, before its onDisconnected. */
export type SessionEnd = (session: Session, error: Error | undefined) => void;

/** Milliseconds that sessions have to end in order. */
export const DEFAULT_GRACE = 5000;
const DEFAULT_HIGH_WATERMARK = 262_144;

export class SessionSet implements SessionHost, Stoppable {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly queueLimit: QueueLimit | null;
  readonly group: string | null;
  readonly sessions = new Set<Session>();
  readonly #core: IocpCore;
  readonly #makeSession: () => Session;
  readonly #onEnd: SessionEnd | undefined;
  readonly #sweep: Sweep | null;
  #emptied: (() => void) | undefined;
  #stopping = false;

  /** Throws a RangeError when the watermarks, the timeouts or the limits make no sense. */
  constructor(core: IocpCore, options: SessionOptions, group: string | null = null, onEnd?: SessionEnd) {
    const { timeouts, queueLimit } = options;
    this.queueLimit = queueLimit ? new QueueLimit(core, queueLimit) : null;
    const most = this.queueLimit?.perSession ?? Number.POSITIVE_INFINITY;
    const { highWatermark = Math.min(DEFAULT_HIGH_WATERMARK, most), lowWatermark = highWatermark >> 2 } = options;
    if (!(lowWatermark >= 0 && lowWatermark <= highWatermark)) {
      throw new RangeError(`the watermarks must be 0 <= low <= high, not ${lowWatermark} and ${highWatermark}`);
    }
    if (highWatermark > most) {
      throw new RangeError(`the high watermark, ${highWatermark}, must be no more than the queue's limit, ${most}`);
    }
    this.highWatermark = highWatermark;
    this.lowWatermark = lowWatermark;
    this.group = group;
    this.#core = core;
    this.#onEnd = onEnd;
    this.#sweep = timeouts && Object.keys(timeouts).length > 0 ? new Sweep(core, timeouts) : null;
    this.#makeSession = sessionFactory(options.session);
  }

  /**
   * Makes the session of a new connection and opens it. The core has admitted it.
   * @param introduction by the proxy that the client came through.
   */
  open(socket: PortSocket, introduction: Introduction | null = null): Session {
    const session = this.#makeSession();
    this.sessions.add(session);
    this.#sweep?.watch(session);
    openSession(session, this.#core, socket, this, introduction);
    if (this.#stopping) session.end();
    return session;
  }

  closed(session: Session, error: Error | undefined): void {
    this.sessions.delete(session);
    this.#sweep?.unwatch(session);
    this.#core.dismiss();
    this.#onEnd?.(session, error);
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
