// Receiving into memory of the message's own, for sockets whose owner copies all that it receives: a chunk of 64 KiB goes to the owner
// as it is, without a copy. Few bytes are copied, and the chunk serves the next call.

import type { Calls } from './calls.js';
import { EINTR } from './errors.js';
import { MSG_DONTWAIT } from './layout.js';
import { errno } from './libc.js';

const CHUNK = 65_536;
/** Up to so many bytes are copied: the rest of the chunk would be lost for as long as the owner keeps the bytes. */
const COPIED = CHUNK / 2;

export class Chunks {
  readonly #recv: Calls['recvArray'];
  /** The chunk of the next call. Only this class has it. */
  #next: Buffer | null = null;
  /** The errno of the last call; 0 for none. */
  errno = 0;

  constructor(calls: Calls) {
    this.#recv = calls.recvArray;
  }

  /** Whether a call that gave so many bytes has filled the chunk: there may be more. */
  static isFull(length: number): boolean {
    return length === CHUNK;
  }

  /** Bytes of a socket. Null at its end, and when there is an `errno`. */
  receive(fd: number): Buffer | null {
    this.#next ??= Buffer.allocUnsafeSlow(CHUNK);
    const chunk = this.#next;
    this.errno = 0;
    for (;;) {
      const length = this.#recv(fd, chunk, CHUNK, MSG_DONTWAIT);
      if (length <= 0) {
        const code = length < 0 ? errno() : 0;
        if (code === EINTR) continue;
        this.errno = code;
        return null;
      }
      if (length <= COPIED) return Buffer.from(chunk.subarray(0, length));
      this.#next = null;
      return length === CHUNK ? chunk : chunk.subarray(0, length);
    }
  }
}
