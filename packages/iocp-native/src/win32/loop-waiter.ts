// Waits in the event loop's place: for the packets of ports and for those of libuv's own completion port, in one call.

import { IocpError } from '../contract/errors.js';
import { EventLoop } from '../native/event-loop.js';
import { INFINITE, MAXIMUM_WAIT_OBJECTS, WAIT_FAILED, WAIT_OBJECT_0 } from './constants.js';
import { win32Error } from './errors.js';
import { GetLastError, WaitForMultipleObjects, WaitForSingleObject } from './kernel32.js';
import { depthOfPort } from './ntdll.js';

/** Milliseconds of a wait when there are more ports than one call can wait for. */
const SOME = 10;

export class LoopWaiter {
  static #ofThread: LoopWaiter | undefined;

  /** Watched ports of this thread that no other thread waits for. */
  readonly watched = new Set<number>();
  /** The immediate in which they are looked at next. It keeps the loop from sleeping by itself: nothing would wake it. */
  look: NodeJS.Immediate | null = null;
  readonly #loop = new EventLoop();
  readonly #handles = new Int32Array(MAXIMUM_WAIT_OBJECTS * 2);
  readonly #bytes = new Uint8Array(this.#handles.buffer);

  /** The calling thread's. Throws an IocpError (ENOTSUP) when libuv's port is not where it should be. */
  static ofThread(): LoopWaiter {
    LoopWaiter.#ofThread ??= new LoopWaiter();
    return LoopWaiter.#ofThread;
  }

  private constructor() {
    if (depthOfPort(this.#loop.port) < 0) {
      const reason = 'this libuv keeps its completion port elsewhere';
      throw new IocpError("wait in the event loop's place", reason, 'ENOTSUP', 'NtQueryIoCompletion');
    }
    // Only the low 32 bits of a handle are significant.
    this.#handles[0] = this.#loop.port;
  }

  /** Whether the loop has something to do now. */
  get due(): boolean {
    return this.#loop.timeout() === 0 || WaitForSingleObject(this.#loop.port, 0) === WAIT_OBJECT_0;
  }

  /**
   * Waits up to `timeout` milliseconds (-1: for ever) until `port`, if there is one, or a watched one has
   * packets, or the loop has something to do.
   */
  wait(timeout: number, port = 0): void {
    this.look?.unref();
    const rest = this.#loop.timeout();
    if (rest !== 0) this.#wait(rest < 0 ? timeout : timeout < 0 ? rest : Math.min(timeout, rest), port);
    this.look?.ref();
  }

  #wait(timeout: number, port: number): void {
    let count = 1;
    let most = timeout < 0 ? INFINITE : Math.ceil(timeout);
    if (port !== 0) this.#handles[2 * count++] = port;
    for (const handle of this.watched) {
      if (count === MAXIMUM_WAIT_OBJECTS) {
        most = Math.min(most, SOME);
        break;
      }
      this.#handles[2 * count++] = handle;
    }
    const result = WaitForMultipleObjects(count, this.#bytes, 0, most);
    if (result === WAIT_FAILED) throw win32Error('wait for packets', 'WaitForMultipleObjects', GetLastError());
  }
}
