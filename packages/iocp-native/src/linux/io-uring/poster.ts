// Posting to an io_uring port from another thread: into its shared queue, then a signal. It needs no native code of ours, so
// that a thread which only posts loads none: one that is terminated in the middle of that would end the process.

import { writeSync } from 'node:fs';
import { IocpError } from '../../contract/errors.js';
import type { PortPoster, PortToken } from '../../contract/port.js';
import { PostedQueue } from '../../port/posted-queue.js';
import { linuxError } from '../errors.js';

const signal = Buffer.of(1);

export class UringPoster implements PortPoster {
  readonly #queue: PostedQueue;
  readonly #wake: () => void;

  constructor(token: PortToken) {
    if (!token.queue) throw new IocpError('post to a port', 'the token has no queue', 'EINVAL', 'openPoster');
    this.#queue = new PostedQueue(token.queue);
    const { handle } = token;
    this.#wake = () => wake(handle);
  }

  post(key: number, bytes: number): boolean {
    return this.#queue.push(key, bytes, this.#wake);
  }
}

/** Writes to the pipe that the port's ring polls. */
function wake(pipe: number): void {
  try {
    writeSync(pipe, signal);
  } catch (error) {
    const { code, errno = 0 } = error as NodeJS.ErrnoException;
    // It is full, so it is signalled already.
    if (code !== 'EAGAIN') throw linuxError('wake a port', 'write', -errno);
  }
}
