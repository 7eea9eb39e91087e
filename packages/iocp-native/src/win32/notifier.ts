// How a guest of the event loop learns that its port has packets. No thread of Node's pool has a part in it: that may be
// busy for as long as it likes. What ends the loop's sleep depends on the thread:
//
//   main thread   a registered wait: when the port has packets, a thread of the system's own calls uv_async_send (see
//                 doorbell.ts). libuv sleeps as ever
//   worker        a worker may be terminated at any moment, and its loop with it, which no other thread may touch by then.
//                 So the thread itself waits for the port, in the loop's place, as a port that hosts the loop does
//
// In both cases one immediate for each thread looks at the watched ports in each turn of the loop, as what it calls runs
// where promises and ticks are drained. While the loop may sleep it is unref'd, so that the loop does.

import { isMainThread } from 'node:worker_threads';
import { WAIT_OBJECT_0 } from './constants.js';
import { Doorbell, unregister } from './doorbell.js';
import { WaitForSingleObject } from './kernel32.js';
import { LoopHost } from './loop-host.js';

// A test may put another clock in its place later, which would stop every guest.
const { clearImmediate, setImmediate, setInterval } = globalThis;

/** What setInterval() can wait. */
const LONGEST = 2 ** 31 - 1;

export interface Watched {
  readonly port: number;
  /** dequeue() would bring something that the kernel does not know of. */
  hasPackets(): boolean;
}

/** Those of this thread that have something to call. */
const watching = new Set<Notifier>();
let nextLook: NodeJS.Immediate | null = null;
/** Keeps the loop alive, and thereby asleep, while there is one. */
let anchor: NodeJS.Timeout | undefined;
/** Null where this thread waits in the loop's place. */
let doorbell: Doorbell | null | undefined;

export class Notifier {
  readonly #watched: Watched;
  #ready: (() => void) | null = null;
  #soon: NodeJS.Immediate | null = null;
  /** The registered wait; 0 for none. It ends by itself when the port has packets, and says so to the loop only. */
  #wait = 0;
  /** Packets were taken since it was registered, so it may have ended. */
  #stale = false;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** Calls `ready` once, from the loop, when there are packets. */
  watch(ready: () => void): void {
    this.#ready = ready;
    enter(this, this.#watched.port);
    if (this.#watched.hasPackets()) this.nudge();
    else this.#register();
  }

  unwatch(): void {
    this.#ready = null;
    if (this.#soon) clearImmediate(this.#soon);
    this.#soon = null;
    leave(this, this.#watched.port);
  }

  /** There are packets in the queue. */
  nudge(): void {
    if (this.#ready === null || this.#soon !== null) return;
    this.#soon = setImmediate(() => {
      this.#soon = null;
      this.fire();
    });
  }

  /** Packets were taken from the kernel. */
  taken(): void {
    this.#stale = true;
    // The next look registers anew, and the loop must not sleep before.
    if (this.#ready !== null) nextLook?.ref();
  }

  /** For the look of a turn: whether there are packets. When there are none, a wait is registered afterwards. */
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

  /** To be called before the port is closed. No thread waits for it afterwards. */
  close(): void {
    this.unwatch();
    this.#unregister(true);
  }

  #register(): void {
    if (!doorbell || (this.#wait !== 0 && !this.#stale)) return;
    this.#unregister(false);
    this.#stale = false;
    this.#wait = doorbell.register(this.#watched.port);
    // The system is out of something: from now on this thread waits itself.
    if (this.#wait === 0) waitOurselves();
  }

  #unregister(completely: boolean): void {
    if (this.#wait !== 0) unregister(this.#wait, completely);
    this.#wait = 0;
  }

  /** Has the thread wait for the port itself. */
  host(): void {
    LoopHost.ofThread().guests.add(this.#watched.port);
  }
}

function enter(notifier: Notifier, port: number): void {
  if (doorbell === undefined) {
    doorbell = isMainThread ? Doorbell.open() : null;
    anchor = setInterval(() => {}, LONGEST).unref();
  }
  if (watching.size === 0) anchor!.ref();
  watching.add(notifier);
  if (doorbell === null) LoopHost.ofThread().guests.add(port);
  if (nextLook === null) lookAgain();
}

function leave(notifier: Notifier, port: number): void {
  if (!watching.delete(notifier)) return;
  if (doorbell === null) LoopHost.ofThread().guests.delete(port);
  // Nothing may keep the process alive any more.
  if (watching.size === 0) anchor!.unref();
}

function waitOurselves(): void {
  doorbell = null;
  LoopHost.ofThread().look = nextLook?.ref() ?? null;
  for (const notifier of watching) notifier.host();
}

function lookAgain(): void {
  nextLook = setImmediate(lookAtAll);
  if (doorbell === null) LoopHost.ofThread().look = nextLook;
  else nextLook.unref();
}

function lookAtAll(): void {
  nextLook = null;
  if (doorbell === null) LoopHost.ofThread().look = null;
  if (watching.size === 0) return;
  lookAgain();
  if (doorbell === null) LoopHost.ofThread().wait(-1);
  let due: Notifier[] | null = null;
  for (const notifier of watching) {
    if (!notifier.look()) continue;
    due ??= [];
    due.push(notifier);
  }
  if (due === null) return;
  // Each is called in an immediate of its own, after the promises and ticks of the one before.
  for (let i = 1; i < due.length; i++) due[i]!.nudge();
  due[0]!.fire();
}
