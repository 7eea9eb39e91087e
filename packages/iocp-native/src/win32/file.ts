// The HANDLE behind a file descriptor of Node's: libuv has the table.

import { bindOnce } from '../native/event-loop.js';

const osHandle = bindOnce('intptr_t uv_get_osfhandle(int)');

/** INVALID_HANDLE_VALUE (-1) for a number that is no descriptor. */
export function handleOf(descriptor: number): number {
  return osHandle()(descriptor);
}
