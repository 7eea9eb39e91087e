// How an io_uring port wakes its thread:
//
//   completions   an eventfd, signalled by the ring, watched by the event loop while a guest waits in watch(). Whether that
//                 works on this kernel is tried before the first port is opened (wake-up.ts). It is
//                 signalled only while somebody watches: a busy port costs no eventfd traffic. A guest in a worker looks
//                 at the ring once a millisecond instead: koffi's poll handle crashes the process when its worker is
//                 terminated
//   posts         a pipe (see post-pipe.ts), polled by the ring itself, so that it also ends a wait in io_uring_enter(). A
//                 pipe works whatever the ring's flags are; an eventfd would need COOP_TASKRUN (see ring.ts): from inside
//                 the write to one eventfd the kernel defers the signal of another
//   room          an epoll of the sockets that can be sent to again, polled by the ring while anybody waits (see room.ts)

import { AsyncResource } from 'node:async_hooks';
import { isMainThread } from 'node:worker_threads';
import { koffi } from '../../native/koffi.js';
import { disown, Owned, own } from '../../native/ledger.js';
import { EFD_CLOEXEC, EFD_NONBLOCK, EPOLL } from '../layout.js';
import { check, close, epoll_create1, eventfd } from '../libc.js';
import { clearSignal } from '../signals.js';
import type { Ring } from './ring.js';

/** Milliseconds between two looks of a guest in a worker. */
const LOOK = 1;

/** What keeps looking, and the process alive: a koffi PollHandle, or a timer. */
interface Watcher {
  ref(): unknown;
  unref(): unknown;
  close(): unknown;
}

// A test may put another clock in its place later, which would stop the network.
const { setImmediate } = globalThis;

export class Notifier {
  /** The epoll of those that wait for room. */
  readonly room: number = -1;
  readonly #completionsFd: number = -1;
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
    try {
      this.#completionsFd = check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'open a port', 'eventfd');
      own(Owned.Handle, this.#completionsFd);
      this.room = check(epoll_create1(EPOLL.CLOEXEC), 'open a port', 'epoll_create1');
      own(Owned.Handle, this.room);
      ring.eventfdEnabled = false;
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
    // What completed before the flag was set did not signal: look again now that it is.
    if (now || this.#hasCompletions()) this.nudge();
  }

  unwatch(): void {
    this.#ready = null;
    this.#ring.eventfdEnabled = false;
    this.#watcher?.unref();
  }

  /** There is work for dequeue() that the kernel does not know of: tells a watcher. */
  nudge(): void {
    if (this.#ready === null || this.#immediate) return;
    this.#immediate = true;
    this.#context.runInAsyncScope(setImmediate, undefined, this.#fireSoon);
  }

  /** The ring must be closed by now. */
  close(): void {
    this.#ready = null;
    this.#watcher?.close();
    for (const fd of [this.#completionsFd, this.room]) {
      if (fd < 0) continue;
      disown(Owned.Handle, fd);
      check(close(fd), 'close a port', 'close');
    }
  }

  #poll(): Watcher {
    // koffi calls from outside of all callback scopes of Node's. Ticks and promises would then run in the middle of `ready`,
    // whenever native code calls back from within it; and from Node 26.4 on only in some later callback of the loop. An
    // immediate has a scope, and the loop runs it right after it has polled.
    return koffi().node.poll(this.#completionsFd, { readable: true }, () => {
      clearSignal(this.#completionsFd);
      this.nudge();
    });
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
