// BufferWaiters: the sessions that wait for a send buffer, in order of arrival, and the overflow blocks for long waits.
//
// A send to a peer that does not read holds its buffers without a time limit, so enough such peers hold all buffers. A session that
// has waited for 100 ms gets an overflow block: memory outside of the pool, for one piece, at most one for each session.

import assert from 'node:assert';
import { type CompletionPort, isIocpError, type NativeBlock } from '@overlapped/iocp-native';
import { debugging, POISON } from '@overlapped/iocp-native/internal';
import type { BufferPool } from '@overlapped/object-pool';
import type { Flushable } from './owners.js';
import { Timer, type TimerQueue } from './timers.js';

/** Milliseconds until waiters get overflow blocks. Buffers of peers that read are released much sooner. */
const MAX_WAIT = 100;

/** The waiters of one core. */
export class BufferWaiters {
  /** Number of overflow blocks in use by sends. */
  overflowOut = 0;
  readonly #pool: BufferPool;
  readonly #port: CompletionPort;
  readonly #timers: TimerQueue;
  readonly #flushSoon: (waiter: Flushable) => void;
  readonly #waiters = new Set<Flushable>();
  /** Overflow blocks that are not in use. */
  readonly #blocks: NativeBlock[] = [];
  /** How many blocks may be taken: one for each session that has waited too long. */
  #allowance = 0;
  readonly #timer = new Timer(() => {
    this.#allowance = this.#waiters.size;
    this.#flush(this.#waiters.size);
  });

  constructor(pool: BufferPool, port: CompletionPort, timers: TimerQueue, flushSoon: (waiter: Flushable) => void) {
    this.#pool = pool;
    this.#port = port;
    this.#timers = timers;
    this.#flushSoon = flushSoon;
  }

  /** There are no waiters. */
  get empty(): boolean {
    return this.#waiters.size === 0;
  }

  /** There are waiters and free buffers. */
  get canAdvance(): boolean {
    return this.#waiters.size > 0 && this.#pool.out < this.#pool.capacity;
  }

  /** Adds a waiter behind the others. */
  add(waiter: Flushable): void {
    if (this.#waiters.size === 0) this.#timers.set(this.#timer, MAX_WAIT);
    this.#waiters.add(waiter);
  }

  /** Flushes the first waiters: as many as there are free buffers. */
  advance(): void {
    this.#flush(this.#pool.capacity - this.#pool.out);
  }

  /** A block of the size of a send buffer, if a session has waited long enough; else null. */
  takeOverflow(): NativeBlock | null {
    if (this.#allowance === 0) return null;
    const block = this.#blocks.pop() ?? this.#allocate();
    if (block === null) return null;
    this.#allowance--;
    this.overflowOut++;
    return block;
  }

  /** Releases an overflow block. The kernel must not use it any more. */
  releaseOverflow(block: NativeBlock): void {
    this.overflowOut--;
    if (debugging) block.bytes.fill(POISON);
    this.#blocks.push(block);
  }

  /** Asserts, at tear-down, that all blocks were released. */
  assertEmpty(): void {
    assert.equal(this.overflowOut, 0, 'overflow blocks of sends have not come back');
  }

  #flush(count: number): void {
    let left = count;
    for (const waiter of this.#waiters) {
      if (left-- <= 0) break;
      this.#waiters.delete(waiter);
      this.#flushSoon(waiter);
    }
    if (this.#waiters.size === 0) this.#timers.clear(this.#timer);
    else if (!this.#timer.isSet) this.#timers.set(this.#timer, MAX_WAIT);
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
