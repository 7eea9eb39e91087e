// A lock in shared memory that may outlive its holder. Its word is 0, or the threadId of the holder plus one. A thread that is
// terminated inside the lock holds it for ever, until inherit() is called by a thread that saw it end. So no wait for it is without
// a limit, and code inside the lock must leave the memory in a state that the heir can put in order.

import { threadId } from 'node:worker_threads';

/** Tries of a compare-and-swap before the thread sleeps between two of them. */
const SPINS = 1000;
/** Short sleeps, in milliseconds, for a holder that lost its processor. After so many of them a sleep takes a millisecond. */
const SHORT_SLEEPS = 20;
const SHORT_SLEEP = 0.05;

export class SharedLock {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #self: number;

  /** The lock in word `at` of shared memory, as the thread with this threadId sees it. */
  constructor(words: Int32Array, at: number, thread = threadId) {
    this.#words = words;
    this.#at = at;
    this.#self = thread + 1;
  }

  /**
   * False when the lock could not be taken in about `patience` milliseconds. They are counted in sleeps and not by the clock: when
   * the whole process is suspended, the holder is, too.
   */
  lock(patience: number): boolean {
    const words = this.#words;
    const at = this.#at;
    for (let spins = 0; spins < SPINS; spins++) {
      if (Atomics.compareExchange(words, at, 0, this.#self) === 0) return true;
    }
    for (let sleeps = 0; sleeps < SHORT_SLEEPS + patience; sleeps++) {
      const holder = Atomics.compareExchange(words, at, 0, this.#self);
      if (holder === 0) return true;
      Atomics.wait(words, at, holder, sleeps < SHORT_SLEEPS ? SHORT_SLEEP : 1);
    }
    return false;
  }

  unlock(): void {
    Atomics.store(this.#words, this.#at, 0);
  }

  /** Takes the lock over from a thread that has ended. False when that does not hold it. */
  inherit(thread: number): boolean {
    return Atomics.compareExchange(this.#words, this.#at, thread + 1, this.#self) === thread + 1;
  }
}
