// The receive buffer that a handler of this thread is being given ("borrowed bytes"): a thread runs one handler at a time. A send
// queue keeps this buffer instead of copying it, and bytesOf() limits views of its memory to the bytes received.

import type { Core } from '@overlapped/net-core/internal';

export const borrowed = {
  /** The bytes; null while no handler runs. They start where their memory starts. */
  data: null as Buffer | null,
  /** The core whose receive buffer it is; null if a send queue must not keep the buffer (a datagram has a header in front). */
  core: null as Core | null,
  /** The index of the receive buffer in that core's port, or -1. */
  buffer: -1,
};

/** A handler is about to be given `data`. The caller must call endBorrow() when it has returned. */
export function startBorrow(data: Buffer, core: Core | null, buffer: number): void {
  borrowed.data = data;
  borrowed.core = core;
  borrowed.buffer = buffer;
}

export function endBorrow(): void {
  borrowed.data = null;
  borrowed.core = null;
  borrowed.buffer = -1;
}
