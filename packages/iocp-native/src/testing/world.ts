// The objects that all parts of a simulation share: its clock, random numbers, faults and trace.

import { VirtualClock } from './clock.js';
import type { Faults } from './faults.js';
import { Random } from './random.js';

export class World {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly faults: Faults;
  readonly #trace: ((line: string) => void) | undefined;

  constructor(seed: number, faults: Faults, trace?: (line: string) => void) {
    this.random = new Random(seed);
    this.faults = faults;
    this.#trace = trace;
  }

  /** Up to so many milliseconds, at random. */
  delay(most: number): number {
    return most === 0 ? 0 : this.random.next() * most;
  }

  /** Runs in up to `most` milliseconds, or at once when that is 0. */
  after(most: number, run: () => void): void {
    if (most === 0) run();
    else this.clock.setTimeout(run, this.delay(most));
  }

  get traced(): boolean {
    return this.#trace !== undefined;
  }

  trace(text: string): void {
    this.#trace?.(`${this.clock.now().toFixed(4)} ${text}`);
  }
}
