// The end of a worker thread whose descriptors are closed by hooks (see ../thread-end.ts). For a ring that is not enough: an
// operation in flight holds its socket open, and the ring's mappings hold the ring. So the ring polls a pipe. When the hook closes
// the pipe's write end, the poll completes, and an operation that is linked to it cancels all others. The mappings stay for the
// life of the process: munmap() has two arguments, and a hook gives one.

import { Owned, own } from '../../native/ledger.js';
import { ASYNC_CANCEL_FLAG, O_CLOEXEC, OP, POLLIN, SQE_FLAG } from '../layout.js';
import { check, pipe2 } from '../libc.js';
import { closesAtThreadEnd } from '../thread-end.js';
import { THREAD_END } from './completion.js';
import type { Ring } from './ring.js';

/** Has all operations of a ring cancelled when its thread ends. Gives the descriptors of that, to be closed after the ring. */
export function cancelAtThreadEnd(ring: Ring): readonly number[] {
  if (!closesAtThreadEnd()) return [];
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
