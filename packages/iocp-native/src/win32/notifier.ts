// Calls the watcher of a port when the port has packets. No thread of Node's pool takes part: all of them may be busy. Two
// ways end the sleep of the event loop:
//
//   main thread   a registered wait: when the port has packets, a thread of the system's pool calls uv_async_send (see
//                 loop-waker.ts). libuv sleeps in its own call
//   worker        a worker may be terminated at any moment, and its loop with it: a uv_async_send would then reach freed
//                 memory. So the thread itself waits for the port, in the loop's place (see loop-waiter.ts)
//
// In both cases one immediate of each thread looks at the watched ports in each turn of the loop: promises and ticks are
// drained behind an immediate. While the loop may sleep the immediate is unref'd, so that libuv does sleep.

import { isMainThread } from 'node:worker_threads';
import { WAIT_OBJECT_0 } from './constants.js';
import { WaitForSingleObject } from './kernel32.js';
import { LoopWaiter } from './loop-waiter.js';
import { LoopWaker, unregister } from './loop-waker.js';

// A test may put another clock in its place later, which would stop all watchers.
const { clearImmediate, setImmediate, setInterval } = globalThis;

/** The longest time that setInterval() can wait. */
const LONGEST = 2 ** 31 - 1;

export interface Watched {
  readonly port: number;
  /** dequeue() would bring packets that are not in the kernel's queue. */
  hasPackets(): boolean;
}

/** Notifiers of this thread that have a watcher. */
const watching = new Set<Notifier>();
let nextLook: NodeJS.Immediate | null = null;
/** Keeps the loop alive while a port is watched, so that it sleeps and does not end. */
let anchor: NodeJS.Timeout | undefined;
/** Null when this thread waits in the loop's place. */
let waker: LoopWaker | null | undefined;

export class Notifier {
  readonly #watched: Watched;
  #ready: (() => void) | null = null;
  #soon: NodeJS.Immediate | null = null;
  /** The registered wait; 0 for none. It ends by itself when the port has packets, and then wakes the loop only. */
  #wait = 0;
  /** Packets were taken since it was registered, so it may have ended. */
  #stale = false;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** Calls `ready` once, from the event loop, when there are packets. */
  watch(ready: () => void): void {
    this.#ready = ready;
    enter(this, this.#watched.port);
    if (this.#watched.hasPackets()) this.wake();
    else this.#register();
  }

  unwatch(): void {
    this.#ready = null;
    if (this.#soon) clearImmediate(this.#soon);
    this.#soon = null;
    leave(this, this.#watched.port);
  }

  /** The port's packet queue has packets. */
  wake(): void {
    if (this.#ready === null || this.#soon !== null) return;
    this.#soon = setImmediate(() => {
      this.#soon = null;
      this.fire();
    });
  }

  /** Packets were taken from the kernel. */
  taken(): void {
    this.#stale = true;
    // The next look registers the wait anew. The loop must not sleep before that.
    if (this.#ready !== null) nextLook?.ref();
  }

  /** Whether there are packets. When there are none, a wait is registered afterwards. */
  look(): boolean {
    if (this.#watched.hasPackets() || WaitForSingleObject(this.#watched.port, 0) === WAIT_OBJECT_0) {
      this.#stale = true;
      return true;
    }
    if (this.#stale) this.#register();
    return false;
  }

  fire(): void {
    const ready = this.#ready;
    if (ready === null) return;
    this.unwatch();
    ready();
  }

  /** Called before the port's HANDLE is closed: no thread waits for it afterwards. */
  close(): void {
    this.unwatch();
    this.#unregister(true);
  }

  #register(): void {
    if (!waker || (this.#wait !== 0 && !this.#stale)) return;
    this.#unregister(false);
    this.#stale = false;
    this.#wait = waker.register(this.#watched.port);
    // The system lacks a resource: from now on this thread waits itself.
    if (this.#wait === 0) waitInLoopsPlace();
  }

  #unregister(completely: boolean): void {
    if (this.#wait !== 0) unregister(this.#wait, completely);
    this.#wait = 0;
  }

  /** Has this thread wait for the port, in the loop's place. */
  waitHere(): void {
    LoopWaiter.ofThread().watched.add(this.#watched.port);
  }
}

function enter(notifier: Notifier, port: number): void {
  if (waker === undefined) {
    waker = isMainThread ? LoopWaker.open() : null;
    anchor = setInterval(() => {}, LONGEST).unref();
  }
  if (watching.size === 0) anchor!.ref();
  watching.add(notifier);
  if (waker === null) LoopWaiter.ofThread().watched.add(port);
  if (nextLook === null) lookAgain();
}

function leave(notifier: Notifier, port: number): void {
  if (!watching.delete(notifier)) return;
  if (waker === null) LoopWaiter.ofThread().watched.delete(port);
  // Without a watched port nothing here keeps the process alive.
  if (watching.size === 0) anchor!.unref();
}

function waitInLoopsPlace(): void {
  waker = null;
  LoopWaiter.ofThread().look = nextLook?.ref() ?? null;
  for (const notifier of watching) notifier.waitHere();
}

function lookAgain(): void {
  nextLook = setImmediate(lookAtAll);
  if (waker === null) LoopWaiter.ofThread().look = nextLook;
  else nextLook.unref();
}

function lookAtAll(): void {
  nextLook = null;
  if (waker === null) LoopWaiter.ofThread().look = null;
  if (watching.size === 0) return;
  lookAgain();
  if (waker === null) LoopWaiter.ofThread().wait(-1);
  let due: Notifier[] | null = null;
  for (const notifier of watching) {
    if (!notifier.look()) continue;
    due ??= [];
    due.push(notifier);
  }
  if (due === null) return;
  // Each watcher is called in an immediate of its own, after the promises and ticks of the one before.
  for (let i = 1; i < due.length; i++) due[i]!.wake();
  due[0]!.fire();
}
