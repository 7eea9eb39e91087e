// The HANDLE behind a file descriptor of Node's: libuv has the table.

import { native } from '../native/event-loop.js';

let osHandle: ((descriptor: number) => number) | undefined;

/** INVALID_HANDLE_VALUE (-1) for a number that is no descriptor. */
export function handleOf(descriptor: number): number {
  osHandle ??= native('intptr_t uv_get_osfhandle(int)');
  return osHandle(descriptor);
}
