// HandshakeTurns: how many TLS handshakes of a listener are under way at a time, in one thread. The others wait in order.
//
// Until the client's last flight has come, OpenSSL keeps about 30 KB for a handshake. Thousands of clients that connect at once would
// take that memory all at the same time, and the heap would keep it: what stays of each connection lies between. With turns a later
// handshake uses the memory of an earlier one.
//
// A handshake is under way from its first bytes on. Clients that are far away or silent do not hold up the others: after 50 ms a
// handshake no longer counts.

import { Timer, type TimerQueue } from '@overlapped/net-core';

/** Handshakes at a time. With the time below a thread begins 1,280 a second when no client answers: about what a core can do. */
const MOST = 64;
/** Milliseconds for which a handshake counts. */
const LONGEST = 50;

export interface TurnTaker {
  /** The handshake may begin. */
  onTurn(): void;
}

export class HandshakeTurns {
  readonly #timers: TimerQueue;
  /** Those under way, the oldest first, with the time at which each has begun. */
  readonly #running = new Map<TurnTaker, number>();
  readonly #waiting = new Set<TurnTaker>();
  readonly #expiry = new Timer(() => this.#expire());
  #starting = false;

  constructor(timers: TimerQueue) {
    this.#timers = timers;
  }

  /** True if the handshake may begin. Otherwise it waits for its onTurn(). */
  enter(taker: TurnTaker): boolean {
    if (this.#running.size < MOST && this.#waiting.size === 0) {
      this.#running.set(taker, this.#timers.now);
      return true;
    }
    this.#waiting.add(taker);
    if (!this.#expiry.isSet) this.#awaitOldest();
    return false;
  }

  /** The handshake is over, or waits no longer. Others may begin in this call. */
  leave(taker: TurnTaker): void {
    if (this.#running.delete(taker)) this.#startNext();
    else this.#waiting.delete(taker);
    if (this.#waiting.size === 0) this.#timers.clear(this.#expiry);
  }

  #awaitOldest(): void {
    const { now } = this.#timers;
    const [began = now] = this.#running.values();
    this.#timers.set(this.#expiry, began + LONGEST - now);
  }

  #expire(): void {
    const { now } = this.#timers;
    for (const [taker, began] of this.#running) {
      if (began + LONGEST > now) break;
      this.#running.delete(taker);
    }
    this.#startNext();
    if (this.#waiting.size > 0) this.#awaitOldest();
  }

  #startNext(): void {
    // A handshake that fails at once leaves within its onTurn(): the loop starts the next one.
    if (this.#starting) return;
    this.#starting = true;
    try {
      for (const taker of this.#waiting) {
        if (this.#running.size >= MOST) break;
        this.#waiting.delete(taker);
        this.#running.set(taker, this.#timers.now);
        taker.onTurn();
      }
    } finally {
      this.#starting = false;
    }
  }
}
