// The pump of a thread that does nothing else: it waits in the kernel, in the event loop's place, and takes what is there
// with the same call. The loop gets a turn after each batch, and whenever it has something to do: promises, timers,
// messages and other I/O are served as ever.

import type { CompletionPort } from '@overlapped/iocp-native';
import { Drain, type Pump, type PumpTarget } from './pump.js';
import { runTicks } from './ticks.js';

/** Milliseconds of dispatching after which the event loop gets its turn: a timer is late by little more. */
const BUDGET = 1;
/** What setInterval() can wait. */
const LONGEST = 2 ** 31 - 1;
// A test may put another clock in its place later, which would stop the network.
const { setImmediate, clearImmediate } = globalThis;

export class DedicatedPump implements Pump {
  readonly #target: PumpTarget;
  readonly #drain: Drain;
  /** A loop that nothing keeps alive does not sleep. */
  readonly #anchor: NodeJS.Timeout;
  #next: NodeJS.Immediate;
  #stopped = false;

  constructor(port: CompletionPort, target: PumpTarget) {
    this.#target = target;
    this.#drain = new Drain(port, target, runTicks);
    port.hostLoop();
    this.#anchor = setInterval(() => {}, LONGEST);
    this.#next = setImmediate(this.#turn);
  }

  get dispatchSeconds(): number {
    return this.#drain.seconds;
  }

  /** Each turn of the loop is one of the pump's. */
  wake(): void {}

  stop(): void {
    this.#stopped = true;
    this.#drain.stop();
    clearImmediate(this.#next);
    clearInterval(this.#anchor);
  }

  readonly #turn = (): void => {
    const next = setImmediate(this.#turn);
    this.#next = next;
    const more = this.#target.flush();
    if (this.#stopped) return;
    if (more) {
      this.#drain.fill(0);
    } else {
      // Nobody's immediate but ours: the loop may sleep, so we may.
      next.unref();
      this.#target.sleeps?.(true);
      this.#drain.fill(-1);
      this.#target.sleeps?.(false);
      next.ref();
    }
    this.#drain.dispatch(BUDGET);
  };
}
