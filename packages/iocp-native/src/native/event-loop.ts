// The event loop of the calling thread, libuv's, for a port that waits in the loop's place (waitForLoop() of the contract):
// how long it may sleep, and the descriptor that says that it has something to do.

import { IocpError } from '../contract/errors.js';
import { bindsLater } from './bindings.js';
import { koffi } from './koffi.js';
import { guarded } from './load-guard.js';

/** Where uv_loop_t has its completion port on Windows, in bytes. Part of libuv's ABI since 1.0; checked by the caller. */
const LOOP_IOCP = 56;

const updateTime = bindOnce('void uv_update_time(intptr_t)');
const backendTimeout = bindOnce('int uv_backend_timeout(intptr_t)');
const backendDescriptor = bindOnce('int uv_backend_fd(intptr_t)');
const eventLoopOf = bindOnce('int napi_get_uv_event_loop(void *, _Out_ intptr_t *)');

export class EventLoop {
  /** Linux: becomes readable when the loop has I/O, a message, or a signal to serve (uv_backend_fd). */
  readonly descriptor: number;
  /** Windows: the completion port of the loop itself. */
  readonly port: number;
  readonly #address: number;
  readonly #updateTime: (loop: number) => number;
  readonly #timeout: (loop: number) => number;

  /** Throws an IocpError (ENOTSUP) where Node does not export libuv's functions. */
  constructor() {
    const loop = loopAddress();
    this.#address = loop;
    this.#updateTime = updateTime();
    this.#timeout = backendTimeout();
    const windows = process.platform === 'win32';
    this.descriptor = windows ? -1 : backendDescriptor()(loop);
    this.port = windows ? Number(koffi().decode(BigInt(loop + LOOP_IOCP), 'intptr_t')) : -1;
  }

  /**
   * Milliseconds that the loop may sleep now, until its first timer is due: 0 when it may not, -1 for ever. Always 0
   * while an immediate is pending that has not been unref()'d, or in a loop that nothing keeps alive.
   */
  timeout(): number {
    // libuv reckons from the time of the last turn, which may be long ago.
    this.#updateTime(this.#address);
    return this.#timeout(this.#address);
  }
}

/** The shorter one of two waits, in milliseconds; -1 is for ever. */
export function shorter(one: number, other: number): number {
  if (one < 0) return other;
  return other < 0 ? one : Math.min(one, other);
}

/** The uv_loop_t of the calling thread. Throws an IocpError (ENOTSUP). */
export function loopAddress(): number {
  const address = [0];
  const status = eventLoopOf()(koffi().node.env, address);
  if (status !== 0) throw missing(`napi_get_uv_event_loop failed with ${status}`);
  return address[0]!;
}

/** A function that Node's own program exports, by its prototype. Throws an IocpError (ENOTSUP) where it does not. */
export function native(definition: string): (...args: unknown[]) => number {
  try {
    return guarded(() => koffi().load(null).func(definition) as unknown as (...args: unknown[]) => number);
  } catch (error) {
    throw missing((error as Error).message);
  }
}

/** The same, bound when it is first asked for. */
export function bindOnce(definition: string): () => ReturnType<typeof native> {
  let bound: ReturnType<typeof native> | undefined;
  const known = () => {
    bound ??= native(definition);
    return bound;
  };
  bindsLater(known);
  return known;
}

function missing(reason: string): IocpError {
  return new IocpError("wait in the event loop's place", reason, 'ENOTSUP', 'libuv');
}
