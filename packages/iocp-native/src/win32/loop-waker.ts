// Wakes the main thread's event loop when a completion port has packets: a wait that is registered with the system's thread
// pool calls uv_async_send, with which libuv is woken from any thread. The callback of a wait gets its context as the first
// argument, which uv_async_send takes: so no JavaScript runs on that thread.
//
// The uv_async_t belongs to the loop of the main thread and is never closed: it lives as long as the process. So a wait
// that ends late finds it there. It has no callback: the loop needs to turn, no more.
//
// The documents of RegisterWaitForSingleObject do not name completion ports. So waits for a port are tried first: with a packet
// that comes during the wait, and with one that is there before.

import { isIocpError } from '../contract/errors.js';
import { loopAddress, native } from '../native/event-loop.js';
import { INFINITE, INVALID_HANDLE_VALUE, ONE_READER, WAIT_OBJECT_0 } from './constants.js';
import {
  CloseHandle,
  CreateEventW,
  CreateIoCompletionPort,
  GetModuleHandleW,
  GetProcAddress,
  GetQueuedCompletionStatus,
  PostQueuedCompletionStatus,
  RegisterWaitForSingleObject,
  UnregisterWaitEx,
  WaitForSingleObject,
} from './kernel32.js';
import { win32Memory } from './memory.js';

const WT_EXECUTEINWAITTHREAD = 4;
const WT_EXECUTEONLYONCE = 8;
const UV_ASYNC = 1;
const PAGE = 4096;
/** Milliseconds that a wait has to end, when it is tried. It takes some microseconds. */
const PATIENCE = 1000;

export class LoopWaker {
  readonly #callback: number;
  readonly #context: number;
  readonly #out = new BigUint64Array(1);
  readonly #waitOut = new Uint8Array(this.#out.buffer);

  /** Null when a wait for a port does not end, or libuv lacks a function. */
  static open(): LoopWaker | null {
    const send = GetProcAddress(GetModuleHandleW(null), Buffer.from('uv_async_send\0'));
    if (send === 0 || !waitsEnd()) return null;
    try {
      const init = native('int uv_async_init(intptr_t, intptr_t, intptr_t)');
      const unref = native('void uv_unref(intptr_t)');
      if (native('size_t uv_handle_size(int)')(UV_ASYNC) > PAGE) return null;
      const address = win32Memory.map(PAGE);
      if (init(loopAddress(), address, 0) !== 0) return null;
      unref(address);
      return new LoopWaker(send, address);
    } catch (error) {
      if (!isIocpError(error)) throw error;
      return null;
    }
  }

  /** @param callback the address of a function of one argument, which is `context`. */
  constructor(callback: number, context: number) {
    this.#callback = callback;
    this.#context = context;
  }

  /** Wakes the loop once, when the port has packets. Gives the wait for unregister(), or 0 when the system lacks a resource. */
  register(port: number): number {
    const flags = WT_EXECUTEINWAITTHREAD | WT_EXECUTEONLYONCE;
    if (RegisterWaitForSingleObject(this.#waitOut, port, this.#callback, this.#context, INFINITE, flags) === 0)
      return 0;
    return Number(this.#out[0]);
  }
}

/** Gives a wait back, also one that has ended. With `completely`, no thread waits for the port when this returns. */
export function unregister(wait: number, completely: boolean): void {
  // Without `completely` the call fails while the callback runs. That is harmless: the wait is given back after the callback.
  UnregisterWaitEx(wait, completely ? INVALID_HANDLE_VALUE : 0);
}

/** Whether a registered wait for a port ends when a packet comes, and also when one is there already. */
function waitsEnd(): boolean {
  const port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, 0, 0, ONE_READER);
  const event = CreateEventW(null, 0, 0, null);
  const setEvent = GetProcAddress(
    GetModuleHandleW(Buffer.from('kernel32.dll\0', 'utf16le')),
    Buffer.from('SetEvent\0'),
  );
  const waker = new LoopWaker(setEvent, event);
  const ends = port !== 0 && event !== 0 && setEvent !== 0 && [false, true].every((early) => wakes(early));
  CloseHandle(event);
  CloseHandle(port);
  return ends;

  function wakes(early: boolean): boolean {
    if (early) PostQueuedCompletionStatus(port, 0, 0, 0);
    const wait = waker.register(port);
    if (!early) PostQueuedCompletionStatus(port, 0, 0, 0);
    const called = wait !== 0 && WaitForSingleObject(event, PATIENCE) === WAIT_OBJECT_0;
    if (wait !== 0) unregister(wait, true);
    const [bytes, key, overlapped] = [Buffer.alloc(4), Buffer.alloc(8), Buffer.alloc(8)];
    return called && GetQueuedCompletionStatus(port, bytes, key, overlapped, 0) !== 0;
  }
}
