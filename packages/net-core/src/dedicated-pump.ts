// The pump of a thread that does nothing else: it waits in the kernel, in the event loop's place, and takes the packets
// with the same call. The loop turns when it has something to do (an immediate, a timer, a message, other I/O), behind a large
// batch, and when the pump has dispatched for some time: behind each message a turn would cost more than that. Ticks and promises run after each packet.
//
// On the main thread it becomes a guest of the loop while there are no packets. libuv counts only its own waits as idle time.
// Without this, performance.eventLoopUtilization() would say that an idle thread is busy; load shedders read that figure.

import { AsyncResource } from 'node:async_hooks';
import { isMainThread } from 'node:worker_threads';
import type { CompletionPort } from '@overlapped/iocp-native';
import { Drain, FEW, type Pump, type PumpTarget } from './pump.js';
import { runTicks } from './ticks.js';

/** Milliseconds of dispatching after which the event loop gets its turn: a timer is late by little more. */
const BUDGET = 1;
/** The longest time that setInterval() can wait, in milliseconds. */
const LONGEST = 2 ** 31 - 1;
/** Milliseconds between two looks whether there were packets. A worker has none: there a guest would have to look all the time. */
const LOOK = isMainThread ? 10 : LONGEST;
// A test may put another clock in its place later, which would stop the network.
const { setImmediate, clearImmediate } = globalThis;

export class DedicatedPump implements Pump {
  readonly #port: CompletionPort;
  readonly #target: PumpTarget;
  readonly #drain: Drain;
  /** A loop that nothing keeps alive does not sleep. */
  #anchor: NodeJS.Timeout;
  #next: NodeJS.Immediate;
  #stopped = false;
  /** The context that made the core. Without it the turns would have that of the handler which woke the pump. */
  readonly #context = new AsyncResource('OverlappedPump');
  /** It waits as a guest of the loop. */
  #idle = false;
  /** There is something to dispatch or to flush, which the next turn does. */
  #due = false;
  /** Packets that there had been at the last look. */
  #seen = -1;

  constructor(port: CompletionPort, target: PumpTarget) {
    this.#port = port;
    this.#target = target;
    this.#drain = new Drain(port, target, runTicks);
    port.waitForLoop();
    this.#anchor = setInterval(this.#look, LOOK);
    this.#next = setImmediate(this.#turn);
  }

  get dispatchSeconds(): number {
    return this.#drain.seconds;
  }

  get batchSize(): number {
    return this.#drain.size;
  }

  /** Each turn of the loop is one of the pump's, unless it is idle. */
  wake(): void {
    this.#due = true;
    if (this.#idle) this.#context.runInAsyncScope(this.#goOn);
  }

  stop(): void {
    this.#stopped = true;
    this.#drain.stop();
    this.#port.unwatch();
    clearImmediate(this.#next);
    clearInterval(this.#anchor);
  }

  readonly #turn = (): void => {
    const next = setImmediate(this.#turn);
    this.#next = next;
    // While our own immediate is unref'd, uv_backend_timeout() ignores it: it is 0 for other work only.
    next.unref();
    try {
      const until = this.#drain.seconds + BUDGET / 1000;
      while (this.#serve() && this.#drain.seconds < until);
    } finally {
      next.ref();
    }
  };

  /** Serves a batch. False when the loop is to turn before the next one. */
  #serve(): boolean {
    const drain = this.#drain;
    const more = this.#target.flush();
    if (this.#stopped) return false;
    this.#due = more;
    let count: number;
    if (more || drain.left > 0) {
      count = drain.fill(0);
    } else {
      this.#target.sleeps?.(true);
      count = drain.fill(-1);
      this.#target.sleeps?.(false);
    }
    if (count > 0) this.#due = true;
    drain.dispatch(BUDGET);
    // Without runTicks, only a turn of the loop serves the ticks and promises of a packet.
    return count <= FEW && runTicks !== null && !this.#stopped && !this.#port.loopDue;
  }

  readonly #look = (): void => {
    const { packets } = this.#port.stats;
    const wasBusy = packets !== this.#seen || this.#due;
    this.#seen = packets;
    if (wasBusy) return;
    this.#idle = true;
    clearImmediate(this.#next);
    clearInterval(this.#anchor);
    this.#port.watch(this.#goOn);
  };

  readonly #goOn = (): void => {
    this.#idle = false;
    this.#port.unwatch();
    this.#anchor = setInterval(this.#look, LOOK);
    this.#next = setImmediate(this.#turn);
  };
}
