// The pump as a guest of the event loop: dequeues batches and hands each packet on, with bounded work per turn, so that
// one busy port starves neither the loop nor its other users.

import { type CompletionPacket, type CompletionPort, createBatch } from '@overlapped/iocp-native';

const BATCH = 256;
/** Batches in one turn of the event loop. */
const BATCHES_PER_TURN = 8;

/** What the pump hands packets to. */
export interface PumpTarget {
  dispatch(packet: CompletionPacket): void;
  /** After each batch, and before the first one of a turn: starts what was put off. True when more was put off meanwhile. */
  flush(): boolean;
}

export class GuestPump {
  readonly #port: CompletionPort;
  readonly #target: PumpTarget;
  readonly #batch = createBatch(BATCH);
  #running = true;
  #turning = false;
  #woken = false;

  constructor(port: CompletionPort, target: PumpTarget) {
    this.#port = port;
    this.#target = target;
    port.watch(this.#turn);
  }

  /** There is something to flush: makes sure that a turn comes soon. */
  wake(): void {
    if (!this.#turning) this.#turnAgain();
  }

  /** No packet is dispatched after this. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    this.#port.unwatch();
  }

  readonly #turn = (): void => {
    if (!this.#running || this.#turning) return;
    this.#turning = true;
    try {
      let more = this.#target.flush();
      for (let i = 0; i < BATCHES_PER_TURN; i++) {
        const count = this.#port.dequeue(this.#batch, 0);
        if (count === 0 && !more) {
          this.#port.watch(this.#turn);
          return;
        }
        more = this.#dispatch(count);
        if (!this.#running) return;
      }
      this.#turnAgain();
    } finally {
      this.#turning = false;
    }
  };

  /** One more turn, and never two of them in one turn of the event loop. */
  #turnAgain(): void {
    if (this.#woken) return;
    this.#woken = true;
    setImmediate(() => {
      this.#woken = false;
      this.#turn();
    });
  }

  #dispatch(count: number): boolean {
    const batch = this.#batch;
    for (let i = 0; i < count && this.#running; i++) {
      try {
        this.#target.dispatch(batch[i]!);
      } catch (error) {
        surface(error);
      }
    }
    return this.#target.flush();
  }
}

/** An owner that throws has a bug. It surfaces as an uncaught exception, after the rest of the batch has been served. */
export function surface(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
