// What a ring takes of RLIMIT_MEMLOCK, where the user has no CAP_IPC_LOCK, the kernel gives back some time after the ring was
// closed: some 20 ms, on a busy machine more.

import { isIocpError } from '../errors.js';

/** Milliseconds that opening waits for that, and those between two tries. */
const PATIENCE = 500;
const PAUSE = 2;

const never = new Int32Array(new SharedArrayBuffer(4));

/** Opens something with a ring. Throws what `open` does; when that is ENOMEM, it has tried again for a while. */
export function whenFreed<T>(open: () => T): T {
  for (const until = performance.now() + PATIENCE; ; Atomics.wait(never, 0, 0, PAUSE)) {
    try {
      return open();
    } catch (error) {
      if (!isIocpError(error) || error.code !== 'ENOMEM' || performance.now() >= until) throw error;
    }
  }
}
