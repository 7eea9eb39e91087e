// Timeouts of a set of sessions, without a timer for each: a periodic sweep compares each session's counts of received and sent
// bytes with those of the sweep before (timeout-rules.ts). The path of a packet does no work for it.

import { Timer } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { Stat } from '../stats.js';
import type { Session } from './session.js';
import { IdleState, TimeoutRules, type Timeouts, timedOut } from './timeout-rules.js';

/** Sessions checked in one turn of the event loop. */
const MAX_PER_TURN = 2048;
const { timedOut: TIMED_OUT } = Stat;

export class TimeoutSweep {
  readonly #core: Core;
  readonly #timeouts: Timeouts;
  readonly #rules: TimeoutRules;
  readonly #states = new Map<Session, IdleState<Session>>();
  readonly #timer = new Timer(() => this.#sweep());
  /** The position of a sweep that takes more than one turn of the event loop. */
  #rest: Iterator<IdleState<Session>> | null = null;
  /** When the last sweep was, and the counted time until then: it is less than real time if sweeps were late. */
  #last: number;
  #time = 0;

  constructor(core: Core, timeouts: Timeouts) {
    this.#core = core;
    this.#timeouts = timeouts;
    this.#rules = new TimeoutRules(timeouts);
    this.#last = core.timers.now;
  }

  add(session: Session): void {
    this.#states.set(session, new IdleState(session));
    if (this.#states.size === 1) this.#core.timers.set(this.#timer, this.#rules.interval);
  }

  remove(session: Session): void {
    this.#states.delete(session);
    if (this.#states.size === 0) this.#core.timers.clear(this.#timer);
  }

  #sweep(): void {
    const { now } = this.#core.timers;
    const { interval } = this.#rules;
    // Bytes that arrived while the event loop was blocked are still in the kernel, so that time is not counted.
    this.#time += Math.min(now - this.#last, 2 * interval);
    this.#last = now;
    this.#rest ??= this.#states.values();
    for (let i = 0; i < MAX_PER_TURN; i++) {
      const { done, value } = this.#rest.next();
      if (done) {
        this.#rest = null;
        break;
      }
      const which = this.#rules.expired(value, this.#time);
      if (which !== null) this.#end(value.session, timedOut(which, this.#timeouts));
    }
    if (this.#states.size > 0) this.#core.timers.set(this.#timer, this.#rest === null ? interval : 1);
  }

  #end(session: Session, error: Error): void {
    this.remove(session);
    this.#core.statsBlock.values[TIMED_OUT]!++;
    session.destroy(error);
  }
}
