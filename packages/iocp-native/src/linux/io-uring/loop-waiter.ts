// Waiting in the event loop's place: the ring polls libuv's own epoll descriptor, so that one io_uring_enter() waits for
// the port's completions and for the loop's events.

import { EventLoop } from '../../native/event-loop.js';
import { POLLIN } from '../layout.js';
import { cancelOwnOperation, LOOP, operationOf, setOwnOperation } from './completions.js';
import type { Ring } from './ring.js';
import { prepPollAdd } from './submissions.js';

export class LoopWaiter {
  readonly #ring: Ring;
  readonly #loop = new EventLoop();
  /** The poll is with the kernel. It is one-shot: each arming looks at the descriptor's level anew. */
  #armed = false;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  /**
   * How many milliseconds the loop may go without a turn, unless the poll fires: it is armed then. -1: for ever. 0 when the loop
   * has work now.
   */
  prepare(): number {
    const rest = this.#loop.timeout();
    if (rest !== 0 && !this.#armed) {
      this.#armed = true;
      setOwnOperation(this.#ring, prepPollAdd(this.#ring, this.#loop.descriptor, POLLIN), LOOP);
    }
    return rest;
  }

  /**
   * Cancels the poll, as the loop itself is about to wait. With DEFER_TASKRUN it would stop the signals of the ring: a write to
   * an eventfd of the loop's completes the poll, and the kernel does not signal one eventfd from inside the write to another. The
   * ring then has a completion that is not collected, and the kernel signals for none that come after it.
   */
  release(): void {
    if (!this.#armed) return;
    const ring = this.#ring;
    cancelOwnOperation(ring, LOOP);
    ring.enter(0);
    // Other completions are for dequeue(). watch() sees them, so that it is called soon.
    if (((ring.cqTail() - ring.cqHead) | 0) !== 1 || operationOf(ring.cqes[ring.cqe(ring.cqHead)]!) !== LOOP) return;
    ring.advance(ring.cqTail());
    this.#armed = false;
  }

  /** The poll has completed: the loop has something to do. */
  fired(): void {
    this.#armed = false;
  }
}
