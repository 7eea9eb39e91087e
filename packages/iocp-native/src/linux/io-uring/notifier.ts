// How an io_uring port wakes its thread:
//
//   completions   an eventfd, signalled by the ring, watched by the event loop while a guest waits in watch(). Whether that
//                 works on this kernel is tried before the first port is opened (wake-up.ts). It is
//                 signalled only while the port is watched: a busy port costs no eventfd traffic. A guest in a worker looks
//                 at the ring once a millisecond instead: koffi's poll handle crashes the process when its worker is
//                 terminated
//   posts         a pipe (see post-pipe.ts), polled by the ring itself, so that it also ends a wait in io_uring_enter(). A
//                 pipe works with any flags of the ring; an eventfd would need COOP_TASKRUN (see ring.ts): from inside
//                 the write to one eventfd the kernel defers the signal of another

import { AsyncResource } from 'node:async_hooks';
import { isMainThread } from 'node:worker_threads';
import { koffi } from '../../native/koffi.js';
import { disown, Owned, own } from '../../native/ledger.js';
import { guarded } from '../../native/load-guard.js';
import { EFD_CLOEXEC, EFD_NONBLOCK } from '../layout.js';
import { check, close, eventfd } from '../libc.js';
import { clearSignal } from '../signals.js';
import type { Ring } from './ring.js';

/** Milliseconds between two looks of a guest in a worker. */
const LOOK = 1;

/** The watcher, which keeps the process alive: a koffi PollHandle, or a timer. */
interface Watcher {
  ref(): unknown;
  unref(): unknown;
  close(): unknown;
}

// A test may put another clock in its place later, which would stop the network.
const { setImmediate } = globalThis;

export class Notifier {
  readonly #completionsFd: number;
  readonly #ring: Ring;
  /** Kept here: a handle that is collected stops watching, silently. */
  #watcher: Watcher | undefined;
  #ready: (() => void) | null = null;
  #immediate = false;
  /** The context that opened the port. Without it a turn of the loop would have that of the handler which asked for it. */
  readonly #context = new AsyncResource('OverlappedPort');
  readonly #fireSoon = (): void => {
    this.#immediate = false;
    this.#fire();
  };

  constructor(ring: Ring) {
    this.#ring = ring;
    this.#completionsFd = check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'open a port', 'eventfd');
    own(Owned.Handle, this.#completionsFd);
    ring.eventfdEnabled = false;
    try {
      ring.registerEventfd(this.#completionsFd);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Calls `ready` once, from the event loop, when the ring has completions; soon, when `now` says it has. */
  watch(ready: () => void, now: boolean): void {
    if (!this.#watcher) this.#watcher = isMainThread ? this.#poll() : this.#look();
    else if (this.#ready === null) this.#watcher.ref();
    this.#ready = ready;
    this.#ring.eventfdEnabled = isMainThread;
    // A completion before the flag was set did not signal: look again now that it is set.
    if (now || this.#hasCompletions()) this.wake();
  }

  unwatch(): void {
    this.#ready = null;
    this.#ring.eventfdEnabled = false;
    this.#watcher?.unref();
  }

  /** Calls the watcher soon, if there is one: there is work for dequeue() that the kernel does not know of. */
  wake(): void {
    if (this.#ready === null || this.#immediate) return;
    this.#immediate = true;
    this.#context.runInAsyncScope(setImmediate, undefined, this.#fireSoon);
  }

  /** The ring must be closed by now. */
  close(): void {
    this.#ready = null;
    this.#watcher?.close();
    disown(Owned.Handle, this.#completionsFd);
    check(close(this.#completionsFd), 'close a port', 'close');
  }

  #poll(): Watcher {
    // koffi calls from outside of all callback scopes of Node's. Ticks and promises would then run in the middle of `ready`,
    // whenever native code calls back from within it; and from Node 26.4 on only in some later callback of the loop. An
    // immediate has a scope, and the loop runs it right after it has polled.
    const ready = () => {
      clearSignal(this.#completionsFd);
      this.wake();
    };
    return guarded(() => koffi().node.poll(this.#completionsFd, { readable: true }, ready));
  }

  #look(): Watcher {
    return setInterval(() => {
      if (this.#hasCompletions()) this.#fire();
    }, LOOK);
  }

  #hasCompletions(): boolean {
    return this.#ring.needsEnter || this.#ring.cqHead !== this.#ring.cqTail();
  }

  #fire(): void {
    const ready = this.#ready;
    if (ready === null) return;
    this.#ready = null;
    this.#ring.eventfdEnabled = false;
    ready();
  }
}
