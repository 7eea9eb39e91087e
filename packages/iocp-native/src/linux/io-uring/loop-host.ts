// Waiting in the event loop's place: the ring polls libuv's own epoll descriptor, so that one io_uring_enter() waits for
// the port's completions and for whatever the loop has to serve.

import { EventLoop } from '../../native/event-loop.js';
import { OP, POLLIN, SQE_FLAG } from '../layout.js';
import { LOOP, RELEASE } from './completion.js';
import type { Ring } from './ring.js';

/** The poll's user_data. */
const POLL = LOOP << 24;

export class LoopHost {
  readonly #ring: Ring;
  readonly #loop = new EventLoop();
  /** The poll is with the kernel. It is one-shot: each arming looks at the descriptor's level anew. */
  #armed = false;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  /** How long a wait of up to `timeout` milliseconds may be, with the poll armed; 0 when the loop has work now. */
  prepare(timeout: number): number {
    const rest = this.#loop.timeout();
    if (rest === 0) return 0;
    if (!this.#armed) {
      this.#armed = true;
      this.#ring.sqe(OP.POLL_ADD, 0, 0, this.#loop.descriptor, 0, 0, 0, 0, 0, POLLIN, POLL, 0, 0);
    }
    if (rest < 0) return timeout;
    return timeout < 0 ? rest : Math.min(timeout, rest);
  }

  /**
   * Cancels the poll, as the loop itself is about to wait. With DEFER_TASKRUN it would stop the signals of the ring: a write to
   * an eventfd of the loop's completes the poll, and the kernel does not signal one eventfd from inside the write to another. The
   * ring then has a completion that is not collected, and the kernel signals for none that come after it.
   */
  release(): void {
    if (!this.#armed) return;
    const ring = this.#ring;
    ring.sqe(OP.ASYNC_CANCEL, SQE_FLAG.CQE_SKIP_SUCCESS, 0, -1, 0, 0, POLL, 0, 0, 0, RELEASE, 0, 0);
    ring.enter(0);
    // What else is there is for dequeue(), which is called soon, as watch() sees it.
    if (((ring.cqTail() - ring.cqHead) | 0) !== 1 || ring.cqes[ring.cqe(ring.cqHead)] !== POLL) return;
    ring.advance(ring.cqTail());
    this.#armed = false;
  }

  /** The poll has completed: the loop has something to do. */
  fired(): void {
    this.#armed = false;
  }
}
