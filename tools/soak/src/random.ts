// Random choices that one seed repeats, and the bytes that every message is cut from.

/** Numbers from 0 up to 1, by mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** The same, but small ones as often as large ones of ten times the size. */
  size(most: number): number {
    return Math.max(1, Math.round(most ** this.next()));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.between(0, list.length - 1)]!;
  }
}

const LONGEST = 1 << 17;
const source = Buffer.alloc(2 * LONGEST);
const bytes = new Random(1);
for (let i = 0; i < source.length; i++) source[i] = bytes.between(0, 255);

/** A message of so many bytes, the same in every process. What is lost, doubled or another's shows. */
export function message(number: number, length: number): Buffer {
  const at = (number * 7919) % LONGEST;
  return source.subarray(at, at + length);
}
