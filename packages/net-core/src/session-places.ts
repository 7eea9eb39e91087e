// The places of a core's sessions: as many as it has events for. Who opens one takes a place first.

import { Stat } from './stats.js';

export class SessionPlaces {
  readonly #most: number;
  readonly #stats: Float64Array;
  #taken = 0;
  #reserved = 0;

  /** @param stats the core's, where each decision is counted */
  constructor(most: number, stats: Float64Array) {
    this.#most = most;
    this.#stats = stats;
  }

  /** Sessions that are open. */
  get taken(): number {
    return this.#taken;
  }

  /** Counts a session in. False, and nothing is counted, when no place is left. */
  admit(): boolean {
    if (!this.#left) {
      this.refuse(Stat.refusedFull);
      return false;
    }
    this.#taken++;
    this.#stats[Stat.accepted]!++;
    return true;
  }

  /** Counts a connection that is not to become a session, and why: one of the statistics `refused...`. */
  refuse(reason: number): void {
    this.#stats[Stat.refused]!++;
    this.#stats[reason]!++;
  }

  /** Counts a session out. */
  dismiss(): void {
    this.#taken--;
    this.#stats[Stat.ended]!++;
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
