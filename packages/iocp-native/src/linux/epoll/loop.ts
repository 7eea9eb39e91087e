// The port and the event loop. A guest waits in watch(): libuv watches the port's epoll. A port that waits in the loop's place
// does it the other way round: its epoll watches libuv's. Never both at a time: the kernel refuses an epoll that would, by way of
// others, watch itself (ELOOP), and libuv aborts then.
//
// A guest in a worker looks once a millisecond instead: koffi's poll handle crashes the process when its worker is terminated.

import { AsyncResource } from 'node:async_hooks';
import { isMainThread } from 'node:worker_threads';
import { EventLoop } from '../../native/event-loop.js';
import { koffi } from '../../native/koffi.js';
import { guarded } from '../../native/load-guard.js';
import { linuxError } from '../errors.js';
import { EPOLL } from '../layout.js';
import { type Epoll, NOT_A_SOCKET } from './epoll.js';

/** Milliseconds between two looks of a guest in a worker. */
const LOOK = 1;

// A test may put another clock in its place later, which would stop the network.
const { setImmediate, setInterval } = globalThis;

interface PollHandle {
  start(options: { readable: true }, callback: () => void): void;
  stop(): void;
  ref(): void;
  unref(): void;
  close(): void;
}

export class Loop {
  readonly #epoll: Epoll;
  /** Kept here: a handle that is collected stops watching, silently. */
  #handle: PollHandle | null = null;
  /** libuv watches the epoll. */
  #polling = false;
  #timer: NodeJS.Timeout | null = null;
  #ready: (() => void) | null = null;
  #immediate = false;
  /** Of a port that waits in the loop's place. */
  #host: EventLoop | null = null;
  /** The epoll watches libuv's. */
  #hosting = false;
  /** The context that opened the port. Without it a turn of the loop would have that of the handler which asked for it. */
  readonly #context = new AsyncResource('OverlappedPort');

  constructor(epoll: Epoll) {
    this.#epoll = epoll;
  }

  /** Calls `ready` once, from the event loop, when the epoll has events; soon, when `now`. */
  watch(ready: () => void, now: boolean): void {
    this.#ready = ready;
    if (isMainThread) this.#poll();
    else this.#look();
    if (now) this.wake();
  }

  unwatch(): void {
    this.#ready = null;
    this.#timer?.unref();
    if (this.#polling) this.#handle!.unref();
  }

  /** There is work for dequeue() that the kernel does not know of: tells a watcher. */
  wake(): void {
    if (this.#ready === null || this.#immediate) return;
    this.#immediate = true;
    this.#context.runInAsyncScope(setImmediate, undefined, this.#fireSoon);
  }

  /** From now on waits end when the loop has something to do. Throws an IocpError (ENOTSUP). */
  host(): void {
    this.#host ??= new EventLoop();
  }

  /**
   * Of a port that waits in the loop's place: how many milliseconds the loop may go without a turn, unless the epoll tells of it.
   * -1: for ever. 0 when the loop has work now. Throws an IocpError.
   */
  prepare(): number {
    const host = this.#host!;
    const rest = host.timeout();
    if (rest !== 0 && !this.#hosting) {
      this.#stop();
      const failed = this.#epoll.add(host.descriptor, EPOLL.IN, NOT_A_SOCKET, 0);
      if (failed !== 0) throw linuxError("wait in the event loop's place", 'epoll_ctl', failed);
      this.#hosting = true;
    }
    return rest;
  }

  /** Whether a wait ends for all that the loop has to do. */
  get hosted(): boolean {
    return this.#host !== null;
  }

  close(): void {
    this.#ready = null;
    this.#handle?.close();
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #poll(): void {
    if (this.#hosting) {
      this.#hosting = false;
      const failed = this.#epoll.remove(this.#host!.descriptor);
      if (failed !== 0) throw linuxError('wait for a port', 'epoll_ctl', failed);
    }
    if (this.#handle === null) {
      const { descriptor } = this.#epoll;
      this.#handle = guarded(() => koffi().node.poll(descriptor, { readable: true }, this.#polled) as PollHandle);
    } else {
      if (!this.#polling) this.#handle.start({ readable: true }, this.#polled);
      this.#handle.ref();
    }
    this.#polling = true;
  }

  /** libuv stops watching the epoll, at once. */
  #stop(): void {
    if (!this.#polling) return;
    this.#polling = false;
    this.#handle!.stop();
  }

  #look(): void {
    if (this.#timer !== null) this.#timer.ref();
    else
      this.#timer = setInterval(() => {
        if (this.#ready !== null && this.#epoll.look()) this.#fire();
      }, LOOK);
  }

  readonly #polled = (): void => {
    // It is readable for as long as there are events: nothing may wait for it that does not take them.
    if (this.#ready === null) this.#stop();
    // koffi calls from outside of all callback scopes of Node's. Ticks and promises would then run in the middle of `ready`,
    // whenever native code calls back from within it; and from Node 26.4 on only in some later callback of the loop. An
    // immediate has a scope, and the loop runs it right after it has polled.
    else this.wake();
  };

  readonly #fireSoon = (): void => {
    this.#immediate = false;
    this.#fire();
  };

  #fire(): void {
    const ready = this.#ready;
    if (ready === null) return;
    this.#ready = null;
    ready();
  }
}
