// Timeouts of a set of sessions, without a timer or a clock for each: a periodic sweep compares the bytes that each has
// received and sent with those of the sweep before. The path of a packet pays nothing for it.

import { IocpError } from '@overlapped/iocp-native';
import { type IocpCore, Stat, Timer } from '@overlapped/net-core';
import { arrived, isReceiving, type Session } from './session.js';
import { unfinished } from './session-base.js';

/**
 * Milliseconds after which a session is closed, its error an IocpError (ETIMEDOUT) that says which was over. Each is
 * noticed late by up to a quarter of the shortest, and never early. While the thread is held up it hears nobody: that time
 * does not count, but for as much as another quarter. Default: none.
 */
export interface Timeouts {
  /** Nothing was received for so long. What is sent does not count, nor does the time in which nothing is to be received. */
  readonly read?: number;
  /**
   * Bytes wait to be sent, and the kernel has taken none for so long. It takes them in operations of up to 64 KiB (of a
   * broadcast, whole messages), so a slow peer needs time for one.
   */
  readonly write?: number;
  /** The same, until the first byte has come. */
  readonly firstByte?: number;
  /**
   * A frame has begun to come, and is not whole after so long, however many of its bytes come meanwhile. For a
   * PacketSession; what other sessions receive has no frames.
   */
  readonly frame?: number;
}

/** Sessions that one turn of the event loop looks at. */
const AT_ONCE = 2048;
const { timedOut: TIMED_OUT } = Stat;

/** What the last sweep saw of a session. */
class Watch {
  readonly session: Session;
  received = 0;
  /** When it was first seen with so many bytes received, ready for more; Infinity while it is not. */
  silentSince = Number.POSITIVE_INFINITY;
  /** Which frame had come in part, and for how long it was that one while more was to be received. */
  frame = 0;
  frameAge = 0;
  frameSeen = 0;
  sent = 0;
  /** When it was first seen with so many bytes sent, and more that wait; Infinity while none do. */
  stuckSince = Number.POSITIVE_INFINITY;

  constructor(session: Session) {
    this.session = session;
  }

  /** For how long the frame that is not whole has been coming. Time in which nothing is received does not count. */
  lookAtFrame(now: number): number {
    const frame = this.session[unfinished]();
    const received = this.silentSince < Number.POSITIVE_INFINITY && isReceiving(this.session);
    if (frame !== this.frame) this.frameAge = 0;
    else if (frame > 0 && received) this.frameAge += now - this.frameSeen;
    this.frame = frame;
    this.frameSeen = now;
    return this.frameAge;
  }
}

export class Sweep {
  readonly #core: IocpCore;
  readonly #read: number;
  readonly #write: number;
  readonly #firstByte: number;
  readonly #frame: number;
  readonly #interval: number;
  readonly #watches = new Map<Session, Watch>();
  readonly #timer = new Timer(() => this.#sweep());
  /** How far a sweep has come that has more sessions than fit one turn of the event loop. */
  #rest: Iterator<Watch> | null = null;
  /** When the last sweep was, and the time that counts until then: less than has passed, when sweeps came late. */
  #last: number;
  #time = 0;

  /** Throws a RangeError for a timeout that is not above 0. */
  constructor(core: IocpCore, timeouts: Timeouts) {
    const never = Number.POSITIVE_INFINITY;
    const { read = never, write = never, firstByte = never, frame = never } = timeouts;
    const shortest = Math.min(read, write, firstByte, frame);
    if (!(shortest > 0)) throw new RangeError(`timeouts must be above 0: ${JSON.stringify(timeouts)}`);
    this.#core = core;
    this.#read = read;
    this.#write = write;
    this.#firstByte = firstByte;
    this.#frame = frame;
    this.#interval = Math.min(shortest / 8, 2 ** 30);
    this.#last = core.timers.now;
  }

  watch(session: Session): void {
    this.#watches.set(session, new Watch(session));
    if (this.#watches.size === 1) this.#core.timers.set(this.#timer, this.#interval);
  }

  unwatch(session: Session): void {
    this.#watches.delete(session);
    if (this.#watches.size === 0) this.#core.timers.clear(this.#timer);
  }

  #sweep(): void {
    const { now } = this.#core.timers;
    // What has come while nobody looked is still with the kernel.
    this.#time += Math.min(now - this.#last, 2 * this.#interval);
    this.#last = now;
    this.#rest ??= this.#watches.values();
    for (let i = 0; i < AT_ONCE; i++) {
      const { done, value } = this.#rest.next();
      if (done) {
        this.#rest = null;
        break;
      }
      const error = this.#expired(value, this.#time);
      if (error !== null) this.#end(value.session, error);
    }
    if (this.#watches.size > 0) this.#core.timers.set(this.#timer, this.#rest === null ? this.#interval : 1);
  }

  #end(session: Session, error: IocpError): void {
    this.unwatch(session);
    this.#core.statsBlock.values[TIMED_OUT]!++;
    session.destroy(error);
  }

  #expired(watch: Watch, now: number): IocpError | null {
    const { session } = watch;
    if (this.#frame < Number.POSITIVE_INFINITY && watch.lookAtFrame(now) >= this.#frame) {
      return timedOut(`a frame was not whole within ${this.#frame} ms`, 'receive');
    }
    if (!isReceiving(session)) {
      watch.silentSince = Number.POSITIVE_INFINITY;
    } else if (arrived(session) !== watch.received || watch.silentSince === Number.POSITIVE_INFINITY) {
      watch.received = arrived(session);
      watch.silentSince = now;
    } else {
      const silent = now - watch.silentSince;
      if (silent >= this.#read) return timedOut(`nothing was received for ${this.#read} ms`, 'receive');
      if (arrived(session) === 0 && silent >= this.#firstByte) {
        return timedOut(`nothing was received in the first ${this.#firstByte} ms`, 'receive');
      }
    }
    if (session.bytesQueued === 0) {
      watch.stuckSince = Number.POSITIVE_INFINITY;
    } else if (session.bytesSent !== watch.sent || watch.stuckSince === Number.POSITIVE_INFINITY) {
      watch.sent = session.bytesSent;
      watch.stuckSince = now;
    } else if (now - watch.stuckSince >= this.#write) {
      return timedOut(`nothing that waits could be sent for ${this.#write} ms`, 'send');
    }
    return null;
  }
}

function timedOut(reason: string, syscall: string): IocpError {
  return new IocpError('keep the connection', reason, 'ETIMEDOUT', syscall);
}
