// How an io_uring port wakes its thread. Two eventfds:
//
//   completions   signalled by the ring, watched by the event loop while a guest waits in watch()
//   posts         signalled by other threads after they filled the PostedQueue, polled by the ring itself, so that it
//                 also ends a wait in io_uring_enter()
//
// The first is signalled only while somebody watches: a busy port costs no eventfd traffic.

import { koffi } from '../koffi.js';
import { EAGAIN, linuxError } from './errors.js';
import { EFD_CLOEXEC, EFD_NONBLOCK } from './layout.js';
import { check, close, errno, eventfd, read, write } from './libc.js';
import type { Ring } from './ring.js';

type PollHandle = InstanceType<typeof import('koffi').node.PollHandle>;

const FLAGS = EFD_CLOEXEC | EFD_NONBLOCK;
const count = Buffer.from(new BigUint64Array([1n]).buffer);
const scratch = Buffer.from(new ArrayBuffer(8));

/** Signals an eventfd. From any thread. */
export function signal(fd: number): void {
  // EAGAIN: the counter is full, so the fd is signalled already.
  if (write(fd, count, 8) < 0 && errno() !== EAGAIN) throw linuxError('wake a port', 'write', errno());
}

/** Takes the signal back. */
export function unsignal(fd: number): void {
  if (read(fd, scratch, 8) < 0 && errno() !== EAGAIN) throw linuxError('wait for a port', 'read', errno());
}

export class Notifier {
  readonly postsFd: number;
  readonly #completionsFd: number;
  readonly #ring: Ring;
  /** Kept here: a handle that is collected stops watching, silently. */
  #poll: PollHandle | undefined;
  #ready: (() => void) | null = null;
  #immediate = false;

  constructor(ring: Ring) {
    this.#ring = ring;
    this.postsFd = check(eventfd(0, FLAGS), 'open a port', 'eventfd');
    this.#completionsFd = check(eventfd(0, FLAGS), 'open a port', 'eventfd');
    ring.eventfdEnabled = false;
    ring.registerEventfd(this.#completionsFd);
  }

  /** Calls `ready` once, from the event loop, when the ring has completions; soon, when `now` says it has. */
  watch(ready: () => void, now: boolean): void {
    if (!this.#poll) {
      this.#poll = koffi().node.poll(this.#completionsFd, { readable: true }, () => {
        unsignal(this.#completionsFd);
        this.#fire();
      });
    } else if (this.#ready === null) {
      this.#poll.ref();
    }
    this.#ready = ready;
    this.#ring.eventfdEnabled = true;
    // What completed before the flag was set did not signal: look again now that it is.
    if (now || this.#ring.needsEnter || this.#ring.cqHead !== this.#ring.cqTail()) this.nudge();
  }

  unwatch(): void {
    this.#ready = null;
    this.#ring.eventfdEnabled = false;
    this.#poll?.unref();
  }

  /** There is work for dequeue() that the kernel does not know of: tells a watcher. */
  nudge(): void {
    if (this.#ready === null || this.#immediate) return;
    this.#immediate = true;
    setImmediate(() => {
      this.#immediate = false;
      this.#fire();
    });
  }

  /** The ring must be closed by now. */
  close(): void {
    this.#ready = null;
    this.#poll?.close();
    check(close(this.#completionsFd), 'close a port', 'close');
    check(close(this.postsFd), 'close a port', 'close');
  }

  #fire(): void {
    const ready = this.#ready;
    if (ready === null) return;
    this.#ready = null;
    this.#ring.eventfdEnabled = false;
    ready();
  }
}
