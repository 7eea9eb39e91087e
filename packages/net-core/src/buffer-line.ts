// BufferLine: who waits for a send buffer, the longest wait first, and what serves them when none comes back.
//
// A send that its peer does not take holds its buffers for as long as the peer likes, so enough such peers hold all that there
// are. Who has waited in vain gets memory from outside of the pool, for one piece: at most one for each session.

import assert from 'node:assert';
import { type CompletionPort, isIocpError, type NativeBlock } from '@overlapped/iocp-native';
import { debugging, POISON } from '@overlapped/iocp-native/internal';
import type { BufferPool } from '@overlapped/object-pool';
import type { Flushable } from './owners.js';
import { Timer, type TimerQueue } from './timers.js';

/** Milliseconds that somebody waits at most. Buffers of peers that read are back long before. */
const PATIENCE = 100;

/** The waiters of one core. */
export class BufferLine {
  /** Blocks in use by sends. */
  sparesOut = 0;
  readonly #pool: BufferPool;
  readonly #port: CompletionPort;
  readonly #timers: TimerQueue;
  readonly #flushSoon: (waiter: Flushable) => void;
  readonly #waiters = new Set<Flushable>();
  /** Blocks for one piece each, kept for the next time. */
  readonly #spares: NativeBlock[] = [];
  /** How many blocks may be taken: one for each that has waited too long. */
  #allowance = 0;
  readonly #impatience = new Timer(() => {
    this.#allowance = this.#waiters.size;
    this.#flush(this.#waiters.size);
  });

  constructor(pool: BufferPool, port: CompletionPort, timers: TimerQueue, flushSoon: (waiter: Flushable) => void) {
    this.#pool = pool;
    this.#port = port;
    this.#timers = timers;
    this.#flushSoon = flushSoon;
  }

  /** Nobody waits. */
  get empty(): boolean {
    return this.#waiters.size === 0;
  }

  /** Somebody waits for what is free by now. */
  get moves(): boolean {
    return this.#waiters.size > 0 && this.#pool.out < this.#pool.capacity;
  }

  /** Puts somebody at the end of the line. */
  join(waiter: Flushable): void {
    if (this.#waiters.size === 0) this.#timers.set(this.#impatience, PATIENCE);
    this.#waiters.add(waiter);
  }

  /** Flushes those who have waited longest: as many as there are buffers. */
  advance(): void {
    this.#flush(this.#pool.capacity - this.#pool.out);
  }

  /** Memory for a piece as large as a send buffer, for one who has waited; null when it must wait for a buffer. */
  takeSpare(): NativeBlock | null {
    if (this.#allowance === 0) return null;
    const block = this.#spares.pop() ?? this.#allocate();
    if (block === null) return null;
    this.#allowance--;
    this.sparesOut++;
    return block;
  }

  /** Takes a block back. The kernel must be done with it. */
  giveSpare(block: NativeBlock): void {
    this.sparesOut--;
    if (debugging) block.bytes.fill(POISON);
    this.#spares.push(block);
  }

  /** Tear-down: every block must have come back. */
  assertEmpty(): void {
    assert.equal(this.sparesOut, 0, 'blocks that sends took in the place of send buffers have not come back');
  }

  #flush(count: number): void {
    let left = count;
    for (const waiter of this.#waiters) {
      if (left-- <= 0) break;
      this.#waiters.delete(waiter);
      this.#flushSoon(waiter);
    }
    if (this.#waiters.size === 0) this.#timers.clear(this.#impatience);
    else if (!this.#impatience.isSet) this.#timers.set(this.#impatience, PATIENCE);
  }

  #allocate(): NativeBlock | null {
    try {
      return this.#port.allocate(this.#pool.size, true);
    } catch (error) {
      if (isIocpError(error) && error.code === 'ENOMEM') return null;
      throw error;
    }
  }
}
