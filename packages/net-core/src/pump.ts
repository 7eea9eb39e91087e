// The part that both pumps share: dequeuing batches and handing each packet on. Each bounds its work per turn of the event loop, so
// that one busy port starves neither the loop nor its other users. A packet that called a handler has a turn of ticks and promises
// behind it.

// The global of that name is a getter, which is slow for a call in each batch.
import { performance } from 'node:perf_hooks';
import { type CompletionPacket, type CompletionPort, createBatch } from '@overlapped/iocp-native';
import type { Clock } from './system.js';

const BATCH = 256;
/** Packets between two looks at the clock; a power of two. */
const LOOK = 4;

/**
 * Up to so many packets are a small batch. Behind a large one a turn of the event loop costs little for each packet, and the next
 * batch grows meanwhile. With 50 connections smaller batches cost more than such turns.
 */
export const FEW = 4;

/** The receiver of a pump's packets. */
export interface PumpTarget {
  /** Ticks and promises have their turn behind it, unless it gives false. */
  dispatch(packet: CompletionPacket): unknown;
  /** After each batch, and before the first one of a turn: starts postponed work. True when more was put off meanwhile. */
  flush(): boolean;
  /** The thread is about to sleep in dequeue(), or has come back. */
  sleeps?(asleep: boolean): void;
}

export interface Pump {
  /** Seconds spent in dispatching, in all. */
  readonly dispatchSeconds: number;
  /** Packets of the current batch, or of the last one. */
  readonly batchSize: number;
  /** There is something to flush: makes sure that a turn comes soon. */
  wake(): void;
  /** No packet is dispatched after this. */
  stop(): void;
}

/** The current batch of a pump, and how far it has been dispatched. */
export class Drain {
  readonly #port: CompletionPort;
  readonly #target: PumpTarget;
  readonly #runTicks: Clock['runTicks'];
  readonly #batch = createBatch(BATCH);
  #next = 0;
  #count = 0;
  #milliseconds = 0;
  #stopped = false;

  constructor(port: CompletionPort, target: PumpTarget, runTicks: Clock['runTicks']) {
    this.#port = port;
    this.#target = target;
    this.#runTicks = runTicks;
  }

  /** Packets that were dequeued and not dispatched yet. */
  get left(): number {
    return this.#count - this.#next;
  }

  /** Packets of the current batch, or of the last one. */
  get size(): number {
    return this.#count;
  }

  /** Spent in dispatching, in all. */
  get seconds(): number {
    return this.#milliseconds / 1000;
  }

  /** Dequeues, when nothing is left, as CompletionPort.dequeue() does. How many packets there are to dispatch. */
  fill(timeout: number): number {
    if (this.left > 0) return this.left;
    this.#next = 0;
    this.#count = 0;
    this.#count = this.#port.dequeue(this.#batch, timeout);
    return this.#count;
  }

  /**
   * Dispatches all packets, or for so many milliseconds; the rest is left for the next call. Throws the error of a tick,
   * an uncaught exception.
   */
  dispatch(budget: number): void {
    const begin = performance.now();
    try {
      this.#dispatch(begin + budget);
    } finally {
      this.#milliseconds += performance.now() - begin;
    }
  }

  /** Drops the packets that are left. */
  stop(): void {
    this.#stopped = true;
  }

  #dispatch(until: number): void {
    const batch = this.#batch;
    while (this.#next < this.#count && !this.#stopped) {
      const packet = batch[this.#next++]!;
      let handled: unknown = true;
      try {
        handled = this.#target.dispatch(packet);
      } catch (error) {
        surface(error);
      }
      if (handled !== false) {
        if (this.#runTicks === null) return;
        this.#runTicks();
      }
      if ((this.#next & (LOOK - 1)) === 0 && performance.now() >= until) return;
    }
  }
}

/**
 * Throws an error that concerns no session as an uncaught exception, in a tick of its own: an owner that throws has a bug. The rest
 * of the batch is served in the next turn.
 */
export function surface(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
