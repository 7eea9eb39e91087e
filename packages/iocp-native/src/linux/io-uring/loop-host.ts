// Waiting in the event loop's place: the ring polls libuv's own epoll descriptor, so that one io_uring_enter() waits for
// the port's completions and for whatever the loop has to serve.

import { EventLoop } from '../../native/event-loop.js';
import { OP, POLLIN } from '../layout.js';
import { LOOP } from './completion.js';
import type { Ring } from './ring.js';

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
      this.#ring.sqe(OP.POLL_ADD, 0, 0, this.#loop.descriptor, 0, 0, 0, 0, 0, POLLIN, LOOP << 24, 0, 0);
    }
    if (rest < 0) return timeout;
    return timeout < 0 ? rest : Math.min(timeout, rest);
  }

  /** The poll has completed: the loop has something to do. */
  fired(): void {
    this.#armed = false;
  }
}
