// The pump as a guest of the event loop: it waits in watch(), and takes the packets when the loop calls, in batches. It
// is not timed: where the loop does the port's own work (portable), a turn of it may cost more than the packets.

import { AsyncResource } from 'node:async_hooks';
import type { CompletionPort } from '@overlapped/iocp-native';
import { Drain, type Pump, type PumpTarget } from './pump.js';
import { type Clock, thisSystem } from './system.js';

/** Batches in one turn of the event loop: so many large ones. A smaller batch counts by its packets, because the loop's turn costs more. */
const BATCHES_PER_TURN = 8;
const LARGE = 8;

export class GuestPump implements Pump {
  readonly #port: CompletionPort;
  readonly #target: PumpTarget;
  readonly #drain: Drain;
  readonly #clock: Clock;
  /** The context that made the core. Without it a turn would have that of the handler which asked for it. */
  readonly #context = new AsyncResource('OverlappedPump');
  #running = true;
  #turning = false;
  #woken = false;

  constructor(port: CompletionPort, target: PumpTarget, clock = thisSystem.clock) {
    this.#port = port;
    this.#target = target;
    this.#drain = new Drain(port, target, clock.runTicks);
    this.#clock = clock;
    port.watch(this.#turn);
  }

  get dispatchSeconds(): number {
    return this.#drain.seconds;
  }

  get batchSize(): number {
    return this.#drain.size;
  }

  wake(): void {
    if (!this.#turning) this.#turnAgain();
  }

  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    this.#drain.stop();
    this.#port.unwatch();
  }

  readonly #turn = (): void => {
    if (!this.#running || this.#turning) return;
    this.#turning = true;
    let waits = false;
    try {
      waits = this.#serve();
    } finally {
      this.#turning = false;
      // Also after an uncaught exception: the rest of the batch is still to be served.
      if (!waits && this.#running) this.#turnAgain();
    }
  };

  /** Serves packets up to a bound. True when the port is watched, as nothing is left. */
  #serve(): boolean {
    let more = this.#target.flush();
    for (let left = BATCHES_PER_TURN * LARGE; left > 0 && this.#running; ) {
      const count = this.#drain.fill(0);
      left -= Math.min(Math.max(count, 1), LARGE);
      if (count === 0 && !more) {
        this.#port.watch(this.#turn);
        return true;
      }
      this.#drain.dispatch(Number.POSITIVE_INFINITY);
      more = this.#target.flush();
      if (this.#drain.left > 0) break;
    }
    return false;
  }

  readonly #again = (): void => {
    this.#woken = false;
    this.#turn();
  };

  /** One more turn, and never two of them in one turn of the event loop. */
  #turnAgain(): void {
    if (this.#woken) return;
    this.#woken = true;
    this.#context.runInAsyncScope(this.#clock.setImmediate, this.#clock, this.#again);
  }
}
