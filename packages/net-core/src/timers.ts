// Timers of one core: a binary heap by due time, under one timer of the event loop. A session that sets none costs
// nothing here.

import { AsyncResource } from 'node:async_hooks';
import { callback as checkCallback, outOfRange } from '@overlapped/iocp-native/internal';
import { type Clock, thisSystem } from './system.js';

/** A timer, made once and set as often as needed: setting one allocates nothing. */
export class Timer {
  /**
   * Runs from the event loop of the core's thread, in the async context that made the timer. An error that it throws is an uncaught
   * exception.
   */
  readonly callback: () => void;
  /** When it is due, in milliseconds of the core's clock. Of the queue. @internal */
  due = 0;
  /** Its index in the queue's heap; -1 while it is not set. @internal */
  index = -1;
  readonly #context = new AsyncResource('OverlappedTimer');

  /** Throws a TypeError for a value that is no function. */
  constructor(callback: () => void) {
    checkCallback(callback, 'callback');
    this.callback = callback;
  }

  /** Whether it is set. */
  get isSet(): boolean {
    return this.index >= 0;
  }

  /** For the queue: it is due. @internal */
  run(): void {
    this.#context.runInAsyncScope(this.callback);
  }
}

/** Milliseconds. */
const LATE = 3;

/** The longest time that setTimeout() can wait; it takes longer ones for 1 ms. */
const LONGEST = 2 ** 31 - 1;

/** The timers of a core. It belongs to the core's thread, which is kept alive while one is set. */
export class TimerQueue {
  // heap[i] is due no later than heap[2i + 1] and heap[2i + 2].
  readonly #heap: Timer[] = [];
  /** Timers that ran more than 3 ms after they were due. */
  late = 0;
  readonly #clock: Clock;
  #loopTimer: unknown;
  /** When the event loop's timer is due; Infinity when it is not set. */
  #loopDue = Number.POSITIVE_INFINITY;

  constructor(clock = thisSystem.clock) {
    this.#clock = clock;
  }

  /** Milliseconds of the core's clock: only differences mean something. */
  get now(): number {
    return this.#clock.now();
  }

  /** Timers that are set. */
  get size(): number {
    return this.#heap.length;
  }

  /**
   * Sets a timer to run once, in `delay` milliseconds, 1 at least; one that is set already is moved. Throws a RangeError for
   * a delay that is no number.
   */
  set(timer: Timer, delay: number): void {
    // In the heap it would be neither before nor behind any other timer, and others would not be found when they are due.
    if (typeof delay !== 'number' || Number.isNaN(delay)) throw outOfRange('delay', 'a number of milliseconds', delay);
    // A timer that sets itself again comes due in a later turn of the event loop, as with setTimeout().
    timer.due = this.#clock.now() + Math.max(1, delay);
    if (timer.index < 0) {
      timer.index = this.#heap.length;
      this.#heap.push(timer);
    }
    this.#restore(timer);
    this.#arm();
  }

  /** Unsets a timer. Harmless when it is not set. */
  clear(timer: Timer): void {
    const { index } = timer;
    if (index < 0) return;
    timer.index = -1;
    const last = this.#heap.pop()!;
    if (last !== timer) {
      this.#place(last, index);
      this.#restore(last);
    }
    if (this.#heap.length === 0) this.#disarm();
  }

  /** Unsets all timers. @internal */
  close(): void {
    for (const timer of this.#heap) timer.index = -1;
    this.#heap.length = 0;
    this.#disarm();
  }

  #arm(): void {
    const { due } = this.#heap[0]!;
    if (due >= this.#loopDue) return;
    this.#disarm();
    this.#loopDue = due;
    const rest = Math.ceil(due - this.#clock.now());
    this.#loopTimer = this.#clock.setTimeout(this.#run, Math.min(Math.max(1, rest), LONGEST));
  }

  #disarm(): void {
    this.#clock.clearTimeout(this.#loopTimer);
    this.#loopDue = Number.POSITIVE_INFINITY;
  }

  // The event loop may be early, by a fraction of a millisecond or by more than LONGEST: a timer that is not due yet waits for
  // the rest.
  readonly #run = (): void => {
    this.#loopDue = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    try {
      while (this.#heap.length > 0 && this.#heap[0]!.due <= now) {
        const timer = this.#heap[0]!;
        this.clear(timer);
        if (now - timer.due > LATE) this.late++;
        timer.run();
        // Ticks and promises have their turn between two timers, as with setTimeout().
        if (this.#clock.runTicks === null) break;
        this.#clock.runTicks();
      }
    } finally {
      if (this.#heap.length > 0) this.#arm();
    }
  };

  /** Moves a timer up or down to where the heap's order holds again. */
  #restore(timer: Timer): void {
    const heap = this.#heap;
    let at = timer.index;
    while (at > 0) {
      const parent = heap[(at - 1) >> 1]!;
      if (parent.due <= timer.due) break;
      this.#place(parent, at);
      at = (at - 1) >> 1;
    }
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child = right < heap.length && heap[right]!.due < heap[left]!.due ? right : left;
      if (heap[child]!.due >= timer.due) break;
      this.#place(heap[child]!, at);
      at = child;
    }
    this.#place(timer, at);
  }

  #place(timer: Timer, at: number): void {
    this.#heap[at] = timer;
    timer.index = at;
  }
}
