// The sends in flight of a datagram socket, by the number that their completions bring: a hash table with open addressing. A Map
// would allocate a new table every few messages, since a deleted entry keeps its place until then. V8 links each table to the
// next, so one that has become old keeps all later ones alive until a full collection.

import type { Overlapped } from '../contract/port.js';

const FIRST_SIZE = 64;

export class SendsInFlight {
  /** A power of two places, at most half of them in use. */
  #events: (Overlapped | null)[] = new Array(FIRST_SIZE).fill(null);
  readonly #names: number[] = new Array(FIRST_SIZE).fill(0);
  #mask = FIRST_SIZE - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `name` is that of no other send in flight: an integer. */
  add(name: number, event: Overlapped): void {
    if (this.#size * 2 > this.#mask) this.#grow();
    this.#size++;
    this.#put(name, event);
  }

  has(name: number): boolean {
    return this.#events[this.#find(name)] !== null;
  }

  /** Removes a send, and gives its event; undefined if there is none of this name. */
  remove(name: number): Overlapped | undefined {
    const events = this.#events;
    const names = this.#names;
    const mask = this.#mask;
    let hole = this.#find(name);
    const event = events[hole] ?? null;
    if (event === null) return undefined;
    // A search ends at a free place. So an entry behind the hole moves into it, unless its own first place lies behind the hole.
    for (let at = (hole + 1) & mask; events[at] !== null; at = (at + 1) & mask) {
      if (((at - firstPlace(names[at]!, mask)) & mask) < ((at - hole) & mask)) continue;
      events[hole] = events[at]!;
      names[hole] = names[at]!;
      hole = at;
    }
    events[hole] = null;
    this.#size--;
    return event;
  }

  values(): Overlapped[] {
    return this.#events.filter((event) => event !== null);
  }

  /** The place of a name, or the free place that a search for it ends at. */
  #find(name: number): number {
    const events = this.#events;
    const mask = this.#mask;
    let at = firstPlace(name, mask);
    while (events[at] !== null && this.#names[at] !== name) at = (at + 1) & mask;
    return at;
  }

  #put(name: number, event: Overlapped): void {
    const at = this.#find(name);
    this.#events[at] = event;
    this.#names[at] = name;
  }

  #grow(): void {
    const events = this.#events;
    const names = this.#names.slice();
    this.#mask = events.length * 2 - 1;
    this.#events = new Array(events.length * 2).fill(null);
    for (let i = 0; i < events.length; i++) this.#names.push(0);
    for (const [i, event] of events.entries()) if (event !== null) this.#put(names[i]!, event);
  }
}

/** Tags differ in their low bits; addresses of events differ in those above. */
function firstPlace(name: number, mask: number): number {
  return (Math.imul(name | 0, 0x9e3779b1) >>> 16) & mask;
}
