// Timeouts of a set of sessions, without a timer for each: a periodic sweep compares each session's counts of received and sent
// bytes with those of the sweep before. The path of a packet does no work for it.

import { IocpError } from '@overlapped/iocp-native';
import { Timer } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { Stat } from '../stats.js';
import type { Session } from './session.js';
import { kBytesArrived, kPartialFrame, kReceives } from './symbols.js';

/**
 * Timeouts in milliseconds, above 0. An expired timeout closes the session with an IocpError (ETIMEDOUT) that says which one
 * expired. It fires up to 25 % of the shortest configured timeout late, never early. Time during which the event loop was
 * blocked is not counted, except for up to another 25 %. Default: none.
 */
export interface Timeouts {
  /** Nothing was received for this time. Sent bytes do not count. Time in which the session does not receive is not counted. */
  readonly read?: number;
  /**
   * Bytes are queued, and the kernel has taken none for this time. It takes them in operations of up to 64 KiB (of a broadcast,
   * whole messages), so a slow peer needs time for one operation.
   */
  readonly write?: number;
  /** The read timeout until the first byte has arrived. */
  readonly firstByte?: number;
  /**
   * A frame is incomplete this long after its first byte, even if more of its bytes arrive meanwhile. For a PacketSession;
   * other sessions have no frames.
   */
  readonly frame?: number;
}

/** Sessions checked in one turn of the event loop. */
const MAX_PER_TURN = 2048;
const { timedOut: TIMED_OUT } = Stat;

/** The progress of a session at the last sweep. */
class IdleState {
  readonly session: Session;
  received = 0;
  /** When it was first seen with this number of received bytes while receiving; Infinity while it does not receive. */
  silentSince = Number.POSITIVE_INFINITY;
  /** Number of the incomplete frame, how long it has been incomplete while receiving, and when that was updated. */
  frame = 0;
  frameAge = 0;
  frameSeen = 0;
  sent = 0;
  /** When it was first seen with this number of sent bytes while more were queued; Infinity while none are queued. */
  stuckSince = Number.POSITIVE_INFINITY;

  constructor(session: Session) {
    this.session = session;
  }

  /** The age of the incomplete frame. Time in which the session does not receive is not counted. */
  updateFrame(now: number): number {
    const frame = this.session[kPartialFrame];
    const received = this.silentSince < Number.POSITIVE_INFINITY && this.session[kReceives];
    if (frame !== this.frame) this.frameAge = 0;
    else if (frame > 0 && received) this.frameAge += now - this.frameSeen;
    this.frame = frame;
    this.frameSeen = now;
    return this.frameAge;
  }
}

export class TimeoutSweep {
  readonly #core: Core;
  readonly #read: number;
  readonly #write: number;
  readonly #firstByte: number;
  readonly #frame: number;
  readonly #interval: number;
  readonly #states = new Map<Session, IdleState>();
  readonly #timer = new Timer(() => this.#sweep());
  /** The position of a sweep that takes more than one turn of the event loop. */
  #rest: Iterator<IdleState> | null = null;
  /** When the last sweep was, and the counted time until then: it is less than real time if sweeps were late. */
  #last: number;
  #time = 0;

  constructor(core: Core, timeouts: Timeouts) {
    const never = Number.POSITIVE_INFINITY;
    const { read = never, write = never, firstByte = never, frame = never } = timeouts;
    this.#core = core;
    this.#read = read;
    this.#write = write;
    this.#firstByte = firstByte;
    this.#frame = frame;
    this.#interval = Math.min(read / 8, write / 8, firstByte / 8, frame / 8, 2 ** 30);
    this.#last = core.timers.now;
  }

  add(session: Session): void {
    this.#states.set(session, new IdleState(session));
    if (this.#states.size === 1) this.#core.timers.set(this.#timer, this.#interval);
  }

  remove(session: Session): void {
    this.#states.delete(session);
    if (this.#states.size === 0) this.#core.timers.clear(this.#timer);
  }

  #sweep(): void {
    const { now } = this.#core.timers;
    // Bytes that arrived while the event loop was blocked are still in the kernel, so that time is not counted.
    this.#time += Math.min(now - this.#last, 2 * this.#interval);
    this.#last = now;
    this.#rest ??= this.#states.values();
    for (let i = 0; i < MAX_PER_TURN; i++) {
      const { done, value } = this.#rest.next();
      if (done) {
        this.#rest = null;
        break;
      }
      const error = this.#expired(value, this.#time);
      if (error !== null) this.#end(value.session, error);
    }
    if (this.#states.size > 0) this.#core.timers.set(this.#timer, this.#rest === null ? this.#interval : 1);
  }

  #end(session: Session, error: IocpError): void {
    this.remove(session);
    this.#core.statsBlock.values[TIMED_OUT]!++;
    session.destroy(error);
  }

  #expired(state: IdleState, now: number): IocpError | null {
    const { session } = state;
    if (this.#frame < Number.POSITIVE_INFINITY && state.updateFrame(now) >= this.#frame) {
      return timedOut(`a frame was not whole within ${this.#frame} ms`, 'receive');
    }
    const arrived = session[kBytesArrived];
    if (!session[kReceives]) {
      state.silentSince = Number.POSITIVE_INFINITY;
    } else if (arrived !== state.received || state.silentSince === Number.POSITIVE_INFINITY) {
      state.received = arrived;
      state.silentSince = now;
    } else {
      const silent = now - state.silentSince;
      if (silent >= this.#read) return timedOut(`nothing was received for ${this.#read} ms`, 'receive');
      if (arrived === 0 && silent >= this.#firstByte) {
        return timedOut(`nothing was received in the first ${this.#firstByte} ms`, 'receive');
      }
    }
    if (session.bytesQueued === 0) {
      state.stuckSince = Number.POSITIVE_INFINITY;
    } else if (session.bytesSent !== state.sent || state.stuckSince === Number.POSITIVE_INFINITY) {
      state.sent = session.bytesSent;
      state.stuckSince = now;
    } else if (now - state.stuckSince >= this.#write) {
      return timedOut(`nothing that waits could be sent for ${this.#write} ms`, 'send');
    }
    return null;
  }
}

function timedOut(reason: string, syscall: string): IocpError {
  return new IocpError('keep the connection', reason, 'ETIMEDOUT', syscall);
}
