// The rules of timeouts: the facts of a session that a sweep compares, and which timeout has expired. They know no timer and no thread.

import { IocpError } from '@overlapped/iocp-native';
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
   * A frame is incomplete this long after its first byte, even if more of its bytes arrive meanwhile. For a session of frames;
   * other sessions have no frames.
   */
  readonly frame?: number;
}

/** The facts of a session that a sweep reads. */
export interface Watched {
  /** Whether it receives, if there is something. */
  readonly [kReceives]: boolean;
  /** How many bytes have arrived, also those that no handler has been given. */
  readonly [kBytesArrived]: number;
  /** The number of the frame of which a part has arrived; 0 if there is none. */
  readonly [kPartialFrame]: number;
  readonly bytesQueued: number;
  readonly bytesSent: number;
}

/** The facts of a session at the last sweep. */
export class IdleState<Session extends Watched> {
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

export class TimeoutRules {
  /** Milliseconds between two sweeps. */
  readonly interval: number;
  readonly #read: number;
  readonly #write: number;
  readonly #firstByte: number;
  readonly #frame: number;

  constructor(timeouts: Timeouts) {
    const never = Number.POSITIVE_INFINITY;
    const { read = never, write = never, firstByte = never, frame = never } = timeouts;
    this.#read = read;
    this.#write = write;
    this.#firstByte = firstByte;
    this.#frame = frame;
    this.interval = Math.min(read / 8, write / 8, firstByte / 8, frame / 8, 2 ** 30);
  }

  /** The timeout that has expired, or null. @param now milliseconds, without time that does not count */
  expired(state: IdleState<Watched>, now: number): keyof Timeouts | null {
    const { session } = state;
    if (this.#frame < Number.POSITIVE_INFINITY && state.updateFrame(now) >= this.#frame) return 'frame';
    const arrived = session[kBytesArrived];
    if (!session[kReceives]) {
      state.silentSince = Number.POSITIVE_INFINITY;
    } else if (arrived !== state.received || state.silentSince === Number.POSITIVE_INFINITY) {
      state.received = arrived;
      state.silentSince = now;
    } else {
      const silent = now - state.silentSince;
      if (silent >= this.#read) return 'read';
      if (arrived === 0 && silent >= this.#firstByte) return 'firstByte';
    }
    if (session.bytesQueued === 0) {
      state.stuckSince = Number.POSITIVE_INFINITY;
    } else if (session.bytesSent !== state.sent || state.stuckSince === Number.POSITIVE_INFINITY) {
      state.sent = session.bytesSent;
      state.stuckSince = now;
    } else if (now - state.stuckSince >= this.#write) {
      return 'write';
    }
    return null;
  }
}

/** The error of a session that one of its timeouts has closed. */
export function timedOut(which: keyof Timeouts, timeouts: Timeouts): IocpError {
  const limit = `${timeouts[which]} ms`;
  const reason = {
    frame: `a frame was not whole within ${limit}`,
    read: `nothing was received for ${limit}`,
    firstByte: `nothing was received in the first ${limit}`,
    write: `nothing that waits could be sent for ${limit}`,
  }[which];
  return new IocpError('keep the connection', reason, 'ETIMEDOUT', which === 'write' ? 'send' : 'receive');
}

/** The error of a session that has not ended within its `linger`. */
export function lingeredOut(): IocpError {
  return new IocpError('end the connection', 'the peer has not taken everything in time', 'ETIMEDOUT', 'linger');
}
