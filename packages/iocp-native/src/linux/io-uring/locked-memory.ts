// A ring's share of RLIMIT_MEMLOCK. Where the user has no CAP_IPC_LOCK, the rings of all processes of the user count against
// it, 8 MiB by default. The kernel gives the memory of a closed ring back some 20 ms later, on a busy machine later than that.

import { availableParallelism } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { isIocpError } from '../../contract/errors.js';
import { Ring } from './ring.js';
import { taskRun } from './task-run.js';

/**
 * Entries of a port's submission and completion queue, largest first. With 16 bytes for a completion, 64 for a submission and
 * 4 for its index, a ring takes 528 KiB, 132 or 33.
 */
const SIZES: readonly { readonly submissions: number; readonly completions: number }[] = [
  { submissions: 4096, completions: 16384 },
  { submissions: 1024, completions: 4096 },
  { submissions: 256, completions: 1024 },
];
/** The largest ring of a worker thread. By default there is one for each processor, and 8 MiB must be enough for all. */
const FIRST_OF_WORKER = availableParallelism() > 32 ? 2 : 1;

/** Milliseconds that opening waits for memory, and those between two tries. */
const PATIENCE = 500;
const PAUSE = 2;

const never = new Int32Array(new SharedArrayBuffer(4));

/** Opens something with a ring. Throws the error of `open`; when that is ENOMEM, it has tried again for a while. */
export function whenFreed<T>(open: () => T): T {
  for (const until = performance.now() + PATIENCE; ; Atomics.wait(never, 0, 0, PAUSE)) {
    try {
      return open();
    } catch (error) {
      if (!isOutOfMemory(error) || performance.now() >= until) throw error;
    }
  }
}

/**
 * Opens something with the largest ring for which there is memory. A smaller one works as well: under load it costs more
 * system calls. Throws the error of `open`, which closes the ring then.
 */
export function withLargestRing<T>(open: (ring: Ring) => T): T {
  for (let i = isMainThread ? 0 : FIRST_OF_WORKER; ; i++) {
    const { submissions, completions } = SIZES[i]!;
    try {
      return open(new Ring(submissions, completions, taskRun()));
    } catch (error) {
      if (!isOutOfMemory(error) || i === SIZES.length - 1) throw error;
    }
  }
}

/** A ring of the size that a port needs at least. Throws an IocpError, as Ring does. */
export function smallestRing(): Ring {
  const { submissions, completions } = SIZES.at(-1)!;
  return new Ring(submissions, completions, taskRun());
}

function isOutOfMemory(error: unknown): boolean {
  return isIocpError(error) && error.code === 'ENOMEM';
}
