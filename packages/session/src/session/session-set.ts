// What a listener and a connector share: the sessions that they made, what these are given, and how they end together.

import { AsyncResource } from 'node:async_hooks';
import { IocpError, type PortSocket } from '@overlapped/iocp-native';
import { type IocpCore, Stat, type Stoppable, Timer } from '@overlapped/net-core';
import type { Introduction } from '../accept/proxy-handshake.js';
import { reset } from '../reset.js';
import { type SessionKind, sessionFactory } from './handlers.js';
import { QueueLimit, type QueueLimitOptions } from './queue-limit.js';
import { endWait, isStream, isUnused, newContext, openSession, Session } from './session.js';
import { Sweep, type Timeouts } from './timeout-sweep.js';

/** How much a session may queue, in bytes. */
export interface Watermarks {
  /** Queued bytes above which send() says false. Default 262,144, or the queue's limit if that is lower. */
  readonly highWatermark?: number;
  /** Queued bytes at which onDrain follows. Default a quarter of the high watermark. */
  readonly lowWatermark?: number;
}

/** How long a session may take, and how much it may queue. */
export interface SessionLimits extends Watermarks {
  /**
   * Seconds that a session has to end in order, from its end() or the peer's (with `allowHalfOpen`, from its end()): what the peer has not taken by then is
   * dropped, and the connection reset, as by SO_LINGER (onDisconnected gets an ETIMEDOUT). 0 resets at once, without an
   * error. Default: as long as it takes.
   *
   * The system's own SO_LINGER is of no use here: it would block, in close, the thread that serves everybody.
   */
  readonly linger?: number;
  /**
   * A session stays open for sending when its peer has ended, until its end() is called; see Session.onEnd. Default false: it
   * ends by itself.
   */
  readonly allowHalfOpen?: boolean;
  /** Default: none. A session may be silent for ever. */
  readonly timeouts?: Timeouts;
  /**
   * What becomes of a session whose queue is above its high watermark when something is broadcast to it: it is passed
   * over, or closed with an IocpError (ENOBUFS). Counted either way (`skipped`). Default `skip`.
   */
  readonly slowMembers?: 'skip' | 'close';
  /** Default: none. The watermarks only tell. */
  readonly queueLimit?: QueueLimitOptions;
}

/** What the sessions on a core's own thread do. */
export interface SessionOptions<Kind extends Session = Session> extends SessionLimits {
  /** What each session does: a subclass of Session, or an object of handlers. */
  readonly session: SessionKind<Kind>;
}

/** Where sessions come from and go back to: a listener, or a connector. */
export interface SessionHost {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly queueLimit: QueueLimit | null;
  readonly allowHalfOpen: boolean;
  /** A group that its sessions are in from the start, or null. */
  readonly group: string | null;
  /** The async context that its sessions have, unless they have one of their own. */
  readonly context: AsyncResource;
  /** Whether the session gets what is broadcast, of so many bytes; a slow one does not, and may be closed for it. */
  takesMessage(session: Session, length: number): boolean;
  /** The session has begun to end in order. May be called again. */
  ending(session: Session): void;
  /** Waits for a stream to be taken, or for handlers to settle. That has a limit: see endWait(). May be called again. */
  waits(session: Session): void;
  /** It waits no more. */
  goesOn(session: Session): void;
  /** The session's Close packet is here; nothing of it is in flight. */
  closed(session: Session, error: Error | undefined): void;
}

/** Is told of each session that is over, and why, before its onDisconnected. */
export type SessionEnd = (session: Session, error: Error | undefined) => void;

/** Milliseconds that sessions have to end in order. */
export const DEFAULT_GRACE = 5000;
/** Milliseconds that a session waits for a stream to be taken, or after the peer's end for its handlers. */
const PATIENCE = 10_000;
const DEFAULT_HIGH_WATERMARK = 262_144;

const { skipped: SKIPPED } = Stat;

export class SessionSet implements SessionHost, Stoppable {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly queueLimit: QueueLimit | null;
  readonly group: string | null;
  readonly allowHalfOpen: boolean;
  readonly context = new AsyncResource('OverlappedSessions');
  readonly sessions = new Set<Session>();
  readonly #core: IocpCore;
  readonly #makeSession: () => Session;
  readonly #linger: number | undefined;
  /** What cuts off the sessions that are ending, if there is a limit. */
  readonly #lingering = new Map<Session, Timer>();
  /** What ends the wait of those that wait for a stream, or for their handlers. */
  readonly #waiting = new Map<Session, Timer>();
  readonly #closesSlow: boolean;
  readonly #onEnd: SessionEnd | undefined;
  readonly #sweep: Sweep | null;
  #emptied: (() => void) | undefined;
  #stopping = false;
  /** The time for ending in order is over. */
  #late = false;

  /** Throws a RangeError for watermarks, timeouts or limits that make no sense. */
  constructor(core: IocpCore, options: SessionOptions, group: string | null = null, onEnd?: SessionEnd) {
    const { timeouts, queueLimit, linger, slowMembers } = options;
    this.queueLimit = queueLimit ? new QueueLimit(core, queueLimit) : null;
    const most = this.queueLimit?.perSession ?? Number.POSITIVE_INFINITY;
    const { highWatermark = Math.min(DEFAULT_HIGH_WATERMARK, most), lowWatermark = Math.floor(highWatermark / 4) } =
      options;
    if (!(lowWatermark >= 0 && lowWatermark <= highWatermark)) {
      throw new RangeError(`the watermarks must be 0 <= low <= high, not ${lowWatermark} and ${highWatermark}`);
    }
    if (highWatermark > most) {
      throw new RangeError(`the high watermark, ${highWatermark}, must be no more than the queue's limit, ${most}`);
    }
    if (!(linger === undefined || linger >= 0)) throw new RangeError(`linger must be 0 or more, not ${linger}`);
    this.#linger = linger;
    this.allowHalfOpen = options.allowHalfOpen === true;
    this.#closesSlow = slowMembers === 'close';
    this.highWatermark = highWatermark;
    this.lowWatermark = lowWatermark;
    this.group = group;
    this.#core = core;
    this.#onEnd = onEnd;
    this.#sweep = timeouts && Object.keys(timeouts).length > 0 ? new Sweep(core, timeouts) : null;
    this.#makeSession = sessionFactory(options.session);
  }

  /**
   * Makes the session of a new connection and opens it. The core has admitted it. Throws what the session's constructor
   * does; the connection is reset then.
   * @param introduction by the proxy that the client came through.
   * @param own the session's async context is the caller's, and not that which its others have.
   * @param make in the place of what the options say.
   */
  open(socket: PortSocket, introduction: Introduction | null = null, own = false, make = this.#makeSession): Session {
    // What its constructor enters is the session's, and not that of the next one.
    const context = own ? newContext() : this.context.runInAsyncScope(newContext);
    const session = context.runInAsyncScope(this.#make, this, socket, make);
    this.sessions.add(session);
    this.#sweep?.watch(session);
    openSession(session, this.#core, socket, this, introduction, context, own);
    if (this.#late) session.destroy();
    else if (this.#stopping) endForStop(session);
    return session;
  }

  takesMessage(session: Session, length: number): boolean {
    const { bytesQueued } = session;
    if (bytesQueued <= this.highWatermark && (this.queueLimit?.admits(bytesQueued, length) ?? true)) return true;
    this.#core.statsBlock.values[SKIPPED]!++;
    if (this.#closesSlow) session.destroy(tooSlow());
    return false;
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

  waits(session: Session): void {
    if (this.#waiting.has(session)) return;
    if (this.#stopping) {
      endWait(session);
      return;
    }
    const timer = new Timer(() => {
      this.#waiting.delete(session);
      endWait(session);
    });
    this.#waiting.set(session, timer);
    this.#core.timers.set(timer, PATIENCE);
  }

  goesOn(session: Session): void {
    const timer = this.#waiting.get(session);
    if (timer === undefined) return;
    this.#core.timers.clear(timer);
    this.#waiting.delete(session);
  }

  closed(session: Session, error: Error | undefined): void {
    this.goesOn(session);
    const timer = this.#lingering.get(session);
    if (timer) this.#core.timers.clear(timer);
    this.#lingering.delete(session);
    this.sessions.delete(session);
    this.#sweep?.unwatch(session);
    this.#core.places.dismiss();
    this.#onEnd?.(session, error);
    if (this.sessions.size === 0) this.#emptied?.();
  }

  /** Ends all sessions but those that are streams; what has not ended after `grace` milliseconds is destroyed. */
  async stop(grace: number): Promise<void> {
    this.#stopping = true;
    if (this.sessions.size === 0) return;
    const { timers } = this.#core;
    const cut = new Timer(() => {
      this.#late = true;
      for (const session of this.sessions) session.destroy();
    });
    timers.set(cut, grace);
    for (const session of this.sessions) endForStop(session);
    for (const session of [...this.#waiting.keys()]) {
      this.goesOn(session);
      endWait(session);
    }
    // Again, as one may be opened by the same batch of packets that brings the end of the last one.
    while (this.sessions.size > 0) {
      await new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
    }
    timers.clear(cut);
  }

  #make(socket: PortSocket, make: () => Session): Session {
    try {
      const session = make();
      if (session instanceof Session && isUnused(session)) return session;
      throw new TypeError('Cannot open the session: the function that makes it must give a new Session each time');
    } catch (error) {
      this.#core.places.dismiss();
      reset(this.#core, socket);
      throw error;
    }
  }
}

/** A stream is its owner's to end: an end that came from here would cut the answer that http is giving. */
function endForStop(session: Session): void {
  if (!isStream(session)) session.end();
}

function tooSlow(): IocpError {
  return new IocpError('broadcast to the session', 'too many bytes wait already', 'ENOBUFS', 'broadcast');
}

function lingeredOut(): IocpError {
  return new IocpError('end the connection', 'the peer has not taken everything in time', 'ETIMEDOUT', 'linger');
}
