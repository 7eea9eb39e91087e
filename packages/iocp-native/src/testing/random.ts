// Random numbers from a seed: the same seed, the same numbers, on every machine.

/** Random numbers that a seed determines, on every machine. */
export class Random {
  #state: number;

  /** @param seed 32 bits of it count. */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** From 0 to 1, without 1 (splitmix32: a counter, and a hash of it). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let hash = this.#state;
    hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
    hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
    return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to `bound`, without `bound`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True with this probability, 0 to 1. */
  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  /** One of a list that is not empty, each as likely. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
