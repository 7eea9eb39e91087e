// Posting from other threads: PostQueuedCompletionStatus on the port's HANDLE, which is a number that the system uses
// anew once the port is closed. A gate in shared memory keeps late posters out.

import assert from 'node:assert';
import type { PortPoster, PortToken } from '../contract/port.js';
import { Key } from './engine.js';
import { PostQueuedCompletionStatus } from './kernel32.js';

const CLOSED = 0;
const INSIDE = 1;
/** A thread that was terminated inside the gate never leaves it. */
const CLOSE_WAIT = 100;

export class Gate {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** False when the port is closed; else it will not close until leave(). */
  enter(): boolean {
    Atomics.add(this.#words, INSIDE, 1);
    if (Atomics.load(this.#words, CLOSED) === 0) return true;
    this.leave();
    return false;
  }

  leave(): void {
    Atomics.sub(this.#words, INSIDE, 1);
    Atomics.notify(this.#words, INSIDE);
  }

  /** Nobody is inside when this returns, and nobody enters any more. */
  close(): void {
    const words = this.#words;
    Atomics.store(words, CLOSED, 1);
    for (let inside = Atomics.load(words, INSIDE); inside > 0; inside = Atomics.load(words, INSIDE)) {
      if (Atomics.wait(words, INSIDE, inside, CLOSE_WAIT) === 'timed-out') return;
    }
  }
}

/** A post that the kernel has brought and that nobody has dequeued, and where the ledger has it. */
export class TakenPost {
  readonly record: number;

  constructor(record: number) {
    this.record = record;
  }
}

export class IocpPoster implements PortPoster {
  readonly #port: number;
  readonly #gate: Gate;

  constructor(token: PortToken) {
    assert(token.queue, 'a token of another backend');
    this.#port = token.handle;
    this.#gate = new Gate(token.queue);
  }

  post(key: number, bytes: number): boolean {
    if (!this.#gate.enter()) return false;
    // The key travels as the address of an OVERLAPPED, which nobody follows.
    const posted = PostQueuedCompletionStatus(this.#port, bytes, Key.Post, key) !== 0;
    this.#gate.leave();
    return posted;
  }
}
