// A worker thread that ends leaves its descriptors to the process, and its ring with what is in flight there. The thread that
// started it gives them back by its ledger, if it keeps one (see ledger.ts). A program's own Worker keeps none, and the thread that
// terminates that may not know of its ports. No JavaScript runs then, but the clean-up hooks of Node's environment do: each may
// call a native function with one argument. So there each descriptor has a hook, which calls close() with it.
//
// That is not enough: what is in flight holds its socket open, and the ring's mappings hold the ring. So the ring polls a pipe;
// when the hook closes its write end, the poll completes, and an operation that is linked to it cancels all the others. The
// mappings stay for the life of the process: munmap() has two arguments.

import { isMainThread } from 'node:worker_threads';
import { koffi } from '../../native/koffi.js';
import { closeWithThread, keepsLedger, Owned, own } from '../../native/ledger.js';
import { ASYNC_CANCEL_FLAG, O_CLOEXEC, OP, POLLIN, SQE_FLAG } from '../layout.js';
import { addCleanupHook, addressOf, check, pipe2, removeCleanupHook } from '../libc.js';
import { THREAD_END } from './completion.js';
import type { Ring } from './ring.js';

let installed = false;

/** From now on what the ports of this thread own is closed when it ends. To be called before the first one is opened. */
export function closeAtThreadEnd(): void {
  if (installed || isMainThread || keepsLedger()) return;
  installed = true;
  const environment = koffi().node.env;
  const close = addressOf('close');
  // A second hook of the same descriptor would end the process.
  const hooked = new Set<number>();
  closeWithThread({
    own(fd) {
      if (hooked.has(fd)) return;
      hooked.add(fd);
      addCleanupHook(environment, close, fd);
    },
    disown(fd) {
      if (hooked.delete(fd)) removeCleanupHook(environment, close, fd);
    },
  });
}

/** Has all operations of a ring cancelled when its thread ends. Gives the descriptors of that, to be closed after the ring. */
export function cancelAtThreadEnd(ring: Ring): readonly number[] {
  if (!installed) return [];
  const ends = Buffer.alloc(8);
  check(pipe2(ends, O_CLOEXEC), 'open a port', 'pipe2');
  const [read, write] = [ends.readInt32LE(0), ends.readInt32LE(4)] as const;
  own(Owned.Handle, read);
  own(Owned.Handle, write);
  const user = THREAD_END << 24;
  const all = ASYNC_CANCEL_FLAG.ALL | ASYNC_CANCEL_FLAG.ANY;
  ring.sqe(OP.POLL_ADD, SQE_FLAG.IO_LINK, 0, read, 0, 0, 0, 0, 0, POLLIN, user, 0, 0);
  ring.sqe(OP.ASYNC_CANCEL, 0, 0, -1, 0, 0, 0, 0, 0, all, user, 1, 0);
  return [read, write];
}
