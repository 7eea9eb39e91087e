// Waiting in the event loop's place: for the port's packets and for those of libuv's own completion port, in one call.

import { IocpError } from '../errors.js';
import { EventLoop } from '../event-loop.js';
import { INFINITE, WAIT_FAILED } from './constants.js';
import { win32Error } from './errors.js';
import { GetLastError, WaitForMultipleObjects } from './kernel32.js';
import { isCompletionPort } from './ntdll.js';

export class LoopHost {
  readonly #loop = new EventLoop();
  readonly #handles = Buffer.alloc(16);

  /** Throws an IocpError (ENOTSUP) when libuv's port is not where it should be. */
  constructor(port: number) {
    if (!isCompletionPort(this.#loop.port)) {
      const reason = 'this libuv keeps its completion port elsewhere';
      throw new IocpError("wait in the event loop's place", reason, 'ENOTSUP', 'NtQueryIoCompletion');
    }
    this.#handles.writeBigInt64LE(BigInt(port), 0);
    this.#handles.writeBigInt64LE(BigInt(this.#loop.port), 8);
  }

  /** Waits up to `timeout` milliseconds (-1: for ever) until the port has packets or the loop has something to do. */
  wait(timeout: number): void {
    const rest = this.#loop.timeout();
    if (rest === 0) return;
    const most = rest < 0 ? timeout : timeout < 0 ? rest : Math.min(timeout, rest);
    const result = WaitForMultipleObjects(2, this.#handles, 0, most < 0 ? INFINITE : Math.ceil(most));
    if (result === WAIT_FAILED) throw win32Error('wait for packets', 'WaitForMultipleObjects', GetLastError());
  }
}
