// The HANDLE behind a file descriptor of Node's: libuv has the table.

import { koffi } from '../native/koffi.js';

let native: ((descriptor: number) => number) | undefined;

/** INVALID_HANDLE_VALUE (-1) for a number that is no descriptor. */
export function handleOf(descriptor: number): number {
  native ??= koffi().load(null).func('intptr_t uv_get_osfhandle(int)') as unknown as (descriptor: number) => number;
  return native(descriptor);
}
