// The shared port of Windows: a completion port of the kernel, which knows all the rules itself. A gate before its HANDLE
// keeps late threads out.

import { Gate } from '../port/gate.js';
import { WAIT_TIMEOUT } from '../win32/constants.js';
import { win32Error } from '../win32/errors.js';
import {
  CloseHandle,
  CreateIoCompletionPort,
  GetLastError,
  GetQueuedCompletionStatus,
  PostQueuedCompletionStatus,
} from '../win32/kernel32.js';
import type { SharedPacket, SharedPort, SharedPortToken } from './contract.js';

/** Milliseconds that wait() stays in the kernel: worker.terminate() and process.exit() wait for it. */
const SLICE = 1000;
export function createKernelPort(concurrency: number): SharedPortToken {
  const handle = CreateIoCompletionPort(-1, 0, 0, concurrency);
  if (handle === 0) throw win32Error('create a shared port', 'CreateIoCompletionPort', GetLastError());
  return { kind: 'kernel', handle, memory: new Gate().memory };
}

export class KernelPort implements SharedPort {
  wakeUps = 0;
  readonly #handle: number;
  readonly #gate: Gate;
  readonly #packet = { key: 0, bytes: 0 };
  readonly #get = GetQueuedCompletionStatus.bound();
  readonly #post = PostQueuedCompletionStatus.bound();
  // Outputs of the kernel: the number of bytes, the key, and the OVERLAPPED, which posted packets do not have.
  readonly #out = new Uint32Array(6);
  readonly #bytesOut = new Uint8Array(this.#out.buffer, 0, 4);
  readonly #keyOut = new Uint8Array(this.#out.buffer, 8, 8);
  readonly #overlappedOut = new Uint8Array(this.#out.buffer, 16, 8);

  constructor(token: SharedPortToken) {
    this.#handle = token.handle;
    this.#gate = new Gate(token.memory);
  }

  get closed(): boolean {
    return this.#gate.closed;
  }

  post(key: number, bytes: number): boolean {
    if (!this.#gate.enter()) return false;
    const posted = this.#post(this.#handle, bytes, key, 0) !== 0;
    this.#gate.leave();
    return posted;
  }

  wait(timeout: number): SharedPacket | null {
    if (this.#take(0)) return this.#packet;
    if (timeout === 0 || this.closed) return null;
    this.wakeUps++;
    const until = timeout < 0 ? Number.POSITIVE_INFINITY : performance.now() + timeout;
    for (let left = timeout < 0 ? SLICE : timeout; left > 0 && !this.closed; left = until - performance.now()) {
      if (this.#take(Math.min(Math.ceil(left), SLICE))) return this.#packet;
    }
    return null;
  }

  /** The kernel sees for itself that a thread is blocked. */
  blocking<T>(fn: () => T): T {
    return fn();
  }

  /** A thread that waits in the event loop waits on the loop's own port, and is no longer one of this port's. */
  leave(): void {}

  close(): void {
    const first = this.#gate.close((inside) => {
      for (let i = 0; i < inside; i++) this.#post(this.#handle, 0, 0, 0);
    });
    if (!first) return;
    // A thread that is still inside waits in the kernel until a slot is free: that wait ends with the handle.
    if (CloseHandle(this.#handle) === 0) throw win32Error('close a shared port', 'CloseHandle', GetLastError());
  }

  /** The kernel keeps the threads' places. A thread that was terminated inside only makes close() take longer. */
  recover(): void {}

  #take(milliseconds: number): boolean {
    if (!this.#gate.enter()) return false;
    const taken = this.#get(this.#handle, this.#bytesOut, this.#keyOut, this.#overlappedOut, milliseconds) !== 0;
    const errno = taken ? 0 : GetLastError();
    this.#gate.leave();
    // The posts of close() come out here, too.
    if (this.closed) return false;
    if (!taken && errno !== WAIT_TIMEOUT) throw win32Error('wait on a shared port', 'GetQueuedCompletionStatus', errno);
    this.#packet.bytes = this.#out[0]!;
    this.#packet.key = this.#out[2]!;
    return taken;
  }
}
