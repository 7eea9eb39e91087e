// The places of a core's sessions: as many as it has events for. Who opens one takes a place first.

import { Figure } from './figures.js';

/** @internal */
export class SessionPlaces {
  readonly #most: number;
  readonly #figures: Float64Array;
  #taken = 0;
  #reserved = 0;

  /** @param figures the core's, where each decision is counted */
  constructor(most: number, figures: Float64Array) {
    this.#most = most;
    this.#figures = figures;
  }

  /** Sessions that are open. */
  get taken(): number {
    return this.#taken;
  }

  /** Counts a session in. False, and nothing is counted, when no place is left. */
  admit(): boolean {
    if (!this.#left) {
      this.refuse(Figure.refusedFull);
      return false;
    }
    this.#taken++;
    this.#figures[Figure.accepted]!++;
    return true;
  }

  /** Counts a connection that is not to become a session, and why: one of the figures `refused...`. */
  refuse(reason: number): void {
    this.#figures[Figure.refused]!++;
    this.#figures[reason]!++;
  }

  /** Counts a session out. */
  dismiss(): void {
    this.#taken--;
    this.#figures[Figure.ended]!++;
  }

  /** Keeps the place of a session, with its events, for a connect. False when none is left. */
  reserve(): boolean {
    if (!this.#left) return false;
    this.#reserved++;
    return true;
  }

  /** The connect is over: the place is free, for its session to be admitted. */
  unreserve(): void {
    this.#reserved--;
  }

  get #left(): boolean {
    return this.#taken + this.#reserved < this.#most;
  }
}
