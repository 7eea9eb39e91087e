// ObjectPool: objects that are costly to make, reused. For users: nothing in these packages takes objects from one. It notices a double release, a foreign
// object and a leak.

import assert from 'node:assert';
import { debugging, Uses } from '@overlapped/iocp-native/internal';

/** The factory of a pool, and its capacity. */
export interface ObjectPoolOptions<T extends object> {
  /** Makes an object, when one is needed and none is free. */
  readonly create: () => T;
  /** Readies a released object for its next use. If it throws, the object is dropped and another will be made. */
  readonly reset?: (object: T) => void;
  /** The most objects that may be out. */
  readonly capacity: number;
}

/** Grows as needed, up to its capacity; the object released last is acquired first. */
export class ObjectPool<T extends object> {
  /** The most objects that may be out. */
  readonly capacity: number;
  readonly #create: () => T;
  readonly #reset: ((object: T) => void) | undefined;
  readonly #live = new Set<T>();
  readonly #idle: T[] = [];
  readonly #uses = debugging ? new Uses<T>(new WeakMap()) : null;

  constructor({ create, reset, capacity }: ObjectPoolOptions<T>) {
    assert(Number.isInteger(capacity) && capacity > 0, `a pool of ${capacity} objects`);
    this.capacity = capacity;
    this.#create = create;
    this.#reset = reset;
  }

  /** Objects that are out. */
  get out(): number {
    return this.#live.size;
  }

  /** How many more can be acquired. */
  get free(): number {
    return this.capacity - this.#live.size;
  }

  /** An object, or null when `capacity` of them are out. */
  acquire(): T | null {
    if (this.#live.size === this.capacity) return null;
    const object = this.#idle.pop() ?? this.#create();
    this.#live.add(object);
    this.#uses?.acquired(object);
    return object;
  }

  /** Gives an object back, and readies it. A bug asserts: one that is not out, or of another pool. */
  release(object: T): void {
    if (!this.#live.delete(object)) {
      const why = this.#idle.includes(object) ? 'twice' : 'of another pool';
      assert.fail(`release of an object ${why}${this.#uses?.of(object) ?? ''}`);
    }
    this.#uses?.released(object);
    this.#reset?.(object);
    this.#idle.push(object);
  }

  /** The objects that are out, the longest out first. */
  live(): T[] {
    return [...this.#live];
  }

  /** A sentence that names the objects in use. */
  report(): string {
    const [oldest] = this.#live;
    const kind = oldest?.constructor?.name ?? 'Object';
    return `${this.out} of ${this.capacity} objects are out${oldest ? `, the oldest a ${kind}${this.#uses?.of(oldest) ?? ''}` : ''}`;
  }

  /** Tear-down: every object must have come back. Throws an AssertionError with the report. */
  assertEmpty(): void {
    if (this.out !== 0) assert.fail(this.report());
  }
}
