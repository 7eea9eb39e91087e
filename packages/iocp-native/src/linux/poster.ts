// Posting to a port of Linux from another thread: into the shared queue, then a signal into the pipe (see post-pipe.ts). It
// uses no native code but Node's own. A thread that only posts loads none, since worker.terminate() while koffi is being loaded
// ends the process.

import { writeSync } from 'node:fs';
import { IocpError } from '../contract/errors.js';
import type { PortPoster, PortToken } from '../contract/port.js';
import { PostedQueue } from '../port/posted-queue.js';
import { linuxError } from './errors.js';

const signal = Buffer.of(1);

export class PipePoster implements PortPoster {
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

/** Signals the pipe by its write end. */
function wake(pipe: number): void {
  try {
    writeSync(pipe, signal);
  } catch (error) {
    const { code, errno = 0 } = error as NodeJS.ErrnoException;
    // It is full, so it is signalled already.
    if (code !== 'EAGAIN') throw linuxError('wake a port', 'write', -errno);
  }
}
