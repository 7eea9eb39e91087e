/// <reference lib="es2024.sharedmemory" />
// Posts from other threads: a PostedQueue whose tail the port's thread waits on without blocking. Nothing here holds
// the event loop; the port does while it is watched.

import type { PortPoster, PortToken } from '../contract/port.js';
import { PostedQueue } from './posted-queue.js';

/** The word of a PostedQueue that each post changes. */
const TAIL = 1;

export class Inbox {
  readonly #queue = new PostedQueue();
  readonly #words = new Int32Array(this.#queue.memory);
  #waiting = false;

  get memory(): SharedArrayBuffer {
    return this.#queue.memory;
  }

  get length(): number {
    return this.#queue.length;
  }

  shift(take: (key: number, bytes: number) => void): boolean {
    return this.#queue.shift(take);
  }

  /** Calls `posted` when there is a post: at once, or from a microtask of the event loop. May call it for nothing. */
  wait(posted: () => void): void {
    if (this.#waiting) return;
    // A post after this load changes the word, so that the wait does not begin.
    const tail = Atomics.load(this.#words, TAIL);
    if (this.length > 0) {
      posted();
      return;
    }
    const wait = Atomics.waitAsync(this.#words, TAIL, tail);
    if (!wait.async) {
      posted();
      return;
    }
    this.#waiting = true;
    void wait.value.then(() => {
      this.#waiting = false;
      posted();
    });
  }

  close(): void {
    this.#queue.close();
    Atomics.notify(this.#words, TAIL);
  }
}

/** The posting side, in any thread. */
export function openPoster(token: PortToken): PortPoster {
  const queue = new PostedQueue(token.queue!);
  const words = new Int32Array(token.queue!);
  return {
    post(key, bytes) {
      if (!queue.push(key, bytes)) return false;
      Atomics.notify(words, TAIL);
      return true;
    },
  };
}

/** A producer has ended, perhaps in the middle of a post. */
export function recoverPoster(token: PortToken, thread: number): void {
  const words = new Int32Array(token.queue!);
  new PostedQueue(token.queue!).recover(thread, () => Atomics.notify(words, TAIL));
}
