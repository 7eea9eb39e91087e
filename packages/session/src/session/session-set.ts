// SessionSet: the sessions of one listener or connector, their common options, and how they end together.

import { AsyncResource } from 'node:async_hooks';
import type { PortSocket } from '@overlapped/iocp-native';
import { type Stoppable, Timer } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { reset } from '../reset.js';
import { dismiss, Stat } from '../stats.js';
import { type SessionKind, sessionFactory } from './handlers.js';
import type { Origin } from './origin.js';
import { QueueLimit, type QueueLimitOptions, tooSlow } from './queue-limit.js';
import { newContext, Session } from './session.js';
import { kIsNew, kIsStream, kOpen, kWaitExpired } from './symbols.js';
import { lingeredOut, type Timeouts } from './timeout-rules.js';
import { TimeoutSweep } from './timeout-sweep.js';

/** How many bytes a session may queue before send() tells it to wait. */
export interface Watermarks {
  /** Queued bytes above which send() returns false. Default 262,144, or the queue's limit if that is lower. */
  readonly highWatermark?: number;
  /** Queued bytes at which onDrain is called. Default a quarter of the high watermark. */
  readonly lowWatermark?: number;
}

/** How long a session may take, and how much it may queue. */
export interface SessionLimits extends Watermarks {
  /**
   * Seconds that a session has to end in order, from its end() or the peer's (with `allowHalfOpen`, from its end()). Then
   * bytes that the peer has not taken are dropped and the connection is reset, as with SO_LINGER; onDisconnected gets an
   * IocpError (ETIMEDOUT). 0 resets at once, without an error. Default: no limit.
   *
   * The system's own SO_LINGER is not used: it would block the thread, with all other sessions, in close().
   */
  readonly linger?: number;
  /**
   * A session stays open for sending after its peer's end, until its end() is called; see Session.onEnd. Default false: it
   * ends by itself.
   */
  readonly allowHalfOpen?: boolean;
  /** Default: none. A session may be silent without limit. */
  readonly timeouts?: Timeouts;
  /**
   * The effect of a broadcast on a session whose queue is above its high watermark: `skip` leaves it out, `close` closes it with
   * an IocpError (ENOBUFS). Both are counted (`skipped`). Default `skip`.
   */
  readonly slowMembers?: 'skip' | 'close';
  /** Default: none. The watermarks limit nothing; they only inform. */
  readonly queueLimit?: QueueLimitOptions;
}

/** Sessions on the core's own thread. */
export interface SessionOptions<Kind extends Session = Session> extends SessionLimits {
  /** The handlers of each session: a subclass of Session, or an object of handlers. */
  readonly session: SessionKind<Kind>;
}

/** The members of a set for the sessions that it has made. */
export interface SessionOwner {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly queueLimit: QueueLimit | null;
  readonly allowHalfOpen: boolean;
  /** A group that each session joins when it opens, or null. */
  readonly group: string | null;
  /** The async context of sessions that have none of their own. */
  readonly context: AsyncResource;
  /** Whether the session gets a broadcast of `length` bytes. A slow session does not, and may be closed for it. */
  takesMessage(session: Session, length: number): boolean;
  /** The session has begun to end in order. May be called again. */
  onEnding(session: Session): void;
  /**
   * The session waits for a stream to be taken, or for its handlers to settle. After a time limit its [kWaitExpired]() is
   * called. May be called again.
   */
  startWait(session: Session): void;
  /** That wait is over. */
  stopWait(session: Session): void;
  /** The session's Close packet has come: no operation of it is in flight. */
  onClosed(session: Session, error: Error | undefined): void;
}

/** Called for each session that is over, with the reason, before its onDisconnected. */
export type SessionEnd = (session: Session, error: Error | undefined) => void;

/** Milliseconds that a session waits for a stream to be taken, or after the peer's end for its handlers. */
const WAIT_LIMIT = 10_000;
const DEFAULT_HIGH_WATERMARK = 262_144;

const { skipped: SKIPPED } = Stat;

export class SessionSet implements SessionOwner, Stoppable {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly queueLimit: QueueLimit | null;
  readonly group: string | null;
  readonly allowHalfOpen: boolean;
  readonly context = new AsyncResource('OverlappedSessions');
  readonly sessions = new Set<Session>();
  readonly #core: Core;
  readonly #makeSession: () => Session;
  readonly #linger: number | undefined;
  /** With `linger`: the timers of the sessions that are ending. */
  readonly #lingering = new Map<Session, Timer>();
  /** The timers of the sessions that wait for a stream, or for their handlers. */
  readonly #waiting = new Map<Session, Timer>();
  readonly #closesSlow: boolean;
  readonly #onEnd: SessionEnd | undefined;
  readonly #sweep: TimeoutSweep | null;
  #emptied: (() => void) | undefined;
  #stopping = false;
  /** The grace of stop() has expired. */
  #late = false;

  /** Throws a RangeError for watermarks that contradict each other, or the queue's limit. The ranges are checked in options.ts. */
  constructor(core: Core, options: SessionOptions, group: string | null = null, onEnd?: SessionEnd) {
    const { timeouts, queueLimit, linger, slowMembers } = options;
    this.queueLimit = queueLimit ? new QueueLimit(core, queueLimit) : null;
    const most = this.queueLimit?.perSession ?? Number.POSITIVE_INFINITY;
    const { highWatermark = Math.min(DEFAULT_HIGH_WATERMARK, most), lowWatermark = Math.floor(highWatermark / 4) } =
      options;
    if (lowWatermark > highWatermark) {
      throw new RangeError(`the watermarks must be 0 <= low <= high, not ${lowWatermark} and ${highWatermark}`);
    }
    if (highWatermark > most) {
      throw new RangeError(`the high watermark, ${highWatermark}, must be no more than the queue's limit, ${most}`);
    }
    this.#linger = linger;
    this.allowHalfOpen = options.allowHalfOpen === true;
    this.#closesSlow = slowMembers === 'close';
    this.highWatermark = highWatermark;
    this.lowWatermark = lowWatermark;
    this.group = group;
    this.#core = core;
    this.#onEnd = onEnd;
    this.#sweep = timeouts && Object.keys(timeouts).length > 0 ? new TimeoutSweep(core, timeouts) : null;
    this.#makeSession = sessionFactory(options.session);
  }

  /**
   * Makes the session of a new connection, which the core has admitted, and opens it. Throws the error that the session's constructor
   * throws, after resetting the connection.
   * @param origin the addresses of the PROXY header, and the TLS connection, if there is one of them
   * @param own the session's async context is the caller's, not the set's
   * @param make makes the session, instead of the set's `session` option
   */
  open(socket: PortSocket, origin: Origin | null = null, own = false, make = this.#makeSession): Session {
    // A context for each session: a context that its constructor enters must not reach the next session.
    const context = own ? newContext() : this.context.runInAsyncScope(newContext);
    const session = context.runInAsyncScope(this.#make, this, socket, make, origin);
    this.sessions.add(session);
    this.#sweep?.add(session);
    session[kOpen](this.#core, socket, this, origin, context, own);
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

  onEnding(session: Session): void {
    if (this.#linger === undefined || this.#lingering.has(session)) return;
    if (this.#linger === 0) {
      session.destroy();
      return;
    }
    const timer = new Timer(() => session.destroy(lingeredOut()));
    this.#lingering.set(session, timer);
    this.#core.timers.set(timer, this.#linger * 1000);
  }

  startWait(session: Session): void {
    if (this.#waiting.has(session)) return;
    if (this.#stopping) {
      session[kWaitExpired]();
      return;
    }
    const timer = new Timer(() => {
      this.#waiting.delete(session);
      session[kWaitExpired]();
    });
    this.#waiting.set(session, timer);
    this.#core.timers.set(timer, WAIT_LIMIT);
  }

  stopWait(session: Session): void {
    const timer = this.#waiting.get(session);
    if (timer === undefined) return;
    this.#core.timers.clear(timer);
    this.#waiting.delete(session);
  }

  onClosed(session: Session, error: Error | undefined): void {
    this.stopWait(session);
    const timer = this.#lingering.get(session);
    if (timer) this.#core.timers.clear(timer);
    this.#lingering.delete(session);
    this.sessions.delete(session);
    this.#sweep?.remove(session);
    dismiss(this.#core);
    this.#onEnd?.(session, error);
    if (this.sessions.size === 0) this.#emptied?.();
  }

  /** Ends all sessions except those used as streams. Sessions still open after `grace` milliseconds are destroyed. */
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
      this.stopWait(session);
      session[kWaitExpired]();
    }
    // A loop: the batch of packets that ends the last session may open another one.
    while (this.sessions.size > 0) {
      await new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
    }
    timers.clear(cut);
  }

  #make(socket: PortSocket, make: () => Session, origin: Origin | null): Session {
    try {
      const session = make();
      if (session instanceof Session && session[kIsNew]) return session;
      throw new TypeError('Cannot open the session: the function that makes it must give a new Session each time');
    } catch (error) {
      origin?.abandon(this.#core);
      dismiss(this.#core);
      reset(this.#core, socket);
      throw error;
    }
  }
}

/** A stream is left to its user: to end it here would cut off the answer that an http server is writing. */
function endForStop(session: Session): void {
  if (!session[kIsStream]) session.end();
}
