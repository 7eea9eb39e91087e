// The quota of a core's sessions: as many as it has events for. A session takes one before it opens.

export class SessionQuota {
  readonly #max: number;
  #taken = 0;
  #reserved = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Sessions that are open. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes one for a session. False if none is left. */
  take(): boolean {
    if (!this.#left) return false;
    this.#taken++;
    return true;
  }

  /** Gives back the place that take() took. */
  giveBack(): void {
    this.#taken--;
  }

  /** Keeps one, with its events, for a connect. False if none is left. */
  reserve(): boolean {
    if (!this.#left) return false;
    this.#reserved++;
    return true;
  }

  /** The connect has ended: its session may take() the reserved place. */
  unreserve(): void {
    this.#reserved--;
  }

  get #left(): boolean {
    return this.#taken + this.#reserved < this.#max;
  }
}
