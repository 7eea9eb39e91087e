// The store: values by key, and when keys are due to go. Keys are strings with a character for each byte, as a Map finds
// those fastest; values are bulk strings as they are sent.

import { bulkSize, copyBytes, encodeBulk } from './resp/bulk.js';
import { LARGE } from './resp/reply.js';

/** Milliseconds between two sweeps, and when the last one found many keys to be due. */
const PERIOD = 100;
const SOON = 1;
/** Keys that one sweep looks at. */
const SWEEP = 1000;
/** Of these, as many as would make the next one come soon: one in four. */
const MANY = 4;

export class Store {
  readonly #values = new Map<string, Buffer>();
  /** In milliseconds of performance.now(). Most keys have none. */
  readonly #deadlines = new Map<string, number>();
  readonly #wake: (delay: number) => void;
  #awake = false;
  #holds = 0;
  /** Where the last sweep stopped. */
  #rest: Iterator<[string, number]> | undefined;

  /** @param wake has sweep() called once, in `delay` milliseconds. */
  constructor(wake: (delay: number) => void) {
    this.#wake = wake;
  }

  /** Keys, with those that are due and have not been found yet. */
  get size(): number {
    return this.#values.size;
  }

  /** Keys that are due some time. */
  get expiring(): number {
    return this.#deadlines.size;
  }

  /** Until release() is called as often, values that get() gave stay as they are. */
  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
  }

  /** The value as a bulk string. It must not be changed, nor, unless it is LARGE or hold() was called, kept. */
  get(key: string): Buffer | undefined {
    if (this.#deadlines.size > 0) this.#dropIfDue(key);
    return this.#values.get(key);
  }

  /** Sets a value to a copy of these bytes. A deadline stays. */
  set(key: string, bytes: Buffer, start: number, end: number): void {
    const old = this.#values.get(key);
    const size = bulkSize(end - start);
    // A small value that nothing else has makes place for one of the same size.
    if (size <= LARGE && old?.length === size && this.#holds === 0)
      copyBytes(bytes, start, end, old, size - 2 - (end - start));
    else this.#values.set(key, encodeBulk(bytes, start, end));
  }

  delete(key: string): boolean {
    if (this.#deadlines.size > 0) {
      this.#dropIfDue(key);
      this.#deadlines.delete(key);
    }
    return this.#values.delete(key);
  }

  clear(): void {
    this.#values.clear();
    this.#deadlines.clear();
  }

  /** Milliseconds until a key is due; undefined for a key that never is. */
  timeLeft(key: string): number | undefined {
    const deadline = this.#deadlines.get(key);
    return deadline === undefined ? undefined : Math.max(0, deadline - performance.now());
  }

  /** Has a key that is there go in so many milliseconds. */
  expireIn(key: string, milliseconds: number): void {
    this.#deadlines.set(key, performance.now() + milliseconds);
    if (!this.#awake) this.#wakeIn(PERIOD);
  }

  /** Has a key stay. */
  persist(key: string): void {
    if (this.#deadlines.size > 0) this.#deadlines.delete(key);
  }

  /** Drops keys that are due and that no request reads. Each call looks at some of them, where the last one stopped. */
  sweep(): void {
    const now = performance.now();
    this.#rest ??= this.#deadlines[Symbol.iterator]();
    let looked = 0;
    let due = 0;
    for (; looked < SWEEP; looked++) {
      const { done, value } = this.#rest.next();
      if (done) {
        this.#rest = undefined;
        break;
      }
      if (value[1] > now) continue;
      due++;
      this.#drop(value[0]);
    }
    this.#awake = false;
    if (this.#deadlines.size > 0) this.#wakeIn(due * MANY > looked ? SOON : PERIOD);
  }

  #wakeIn(delay: number): void {
    this.#awake = true;
    this.#wake(delay);
  }

  #dropIfDue(key: string): void {
    const deadline = this.#deadlines.get(key);
    if (deadline !== undefined && deadline <= performance.now()) this.#drop(key);
  }

  #drop(key: string): void {
    this.#deadlines.delete(key);
    this.#values.delete(key);
  }
}
