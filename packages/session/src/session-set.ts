// What a listener and a connector share: the sessions that they made, their watermarks, and how these end together.

import { type IocpCore, type Stoppable, Timer } from '@overlapped/net-core';
import type { SessionKind } from './handlers.js';
import type { Session, SessionHost } from './session.js';

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
  }

  closed(session: Session): void {
    this.sessions.delete(session);
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
