// Posting to an io_uring port from another thread: into its shared queue, then a signal.

import type { PortPoster, PortToken } from '../contract.js';
import { IocpError } from '../errors.js';
import { PostedQueue } from '../posted-queue.js';
import { signal } from './notifier.js';

export class UringPoster implements PortPoster {
  readonly #queue: PostedQueue;
  readonly #wake: () => void;

  constructor(token: PortToken) {
    if (!token.queue) throw new IocpError('post to a port', 'the token has no queue', 'EINVAL', 'openPoster');
    this.#queue = new PostedQueue(token.queue);
    this.#wake = () => signal(token.handle);
  }

  post(key: number, bytes: number): boolean {
    return this.#queue.push(key, bytes, this.#wake);
  }
}
