// The end of a worker thread whose descriptors are closed by hooks (see ../thread-end.ts). For a ring that is not enough: an
// operation in flight holds its socket open, and the ring's mappings hold the ring. So the ring polls a pipe. When the hook closes
// the pipe's write end, the poll completes, and an operation that is linked to it cancels all others. The mappings stay for the
// life of the process: munmap() has two arguments, and a hook gives one.

import { disown, Owned, own } from '../../native/ledger.js';
import { O_CLOEXEC, POLLIN, SQE_FLAG } from '../layout.js';
import { check, close, pipe2 } from '../libc.js';
import { closesAtThreadEnd } from '../thread-end.js';
import { setOwnOperation, THREAD_END } from './completions.js';
import type { Ring } from './ring.js';
import { prepCancelAll, prepPollAdd, setFlags } from './submissions.js';

/** Cancels all operations of a ring when its thread ends. */
export class CancelAtThreadEnd {
  #descriptors: readonly number[] = [];

  /** Throws an IocpError. */
  constructor(ring: Ring) {
    if (!closesAtThreadEnd()) return;
    const ends = Buffer.alloc(8);
    check(pipe2(ends, O_CLOEXEC), 'open a port', 'pipe2');
    const [read, write] = [ends.readInt32LE(0), ends.readInt32LE(4)] as const;
    this.#descriptors = [read, write];
    own(Owned.Handle, read);
    own(Owned.Handle, write);
    const poll = prepPollAdd(ring, read, POLLIN);
    setFlags(ring, poll, SQE_FLAG.IO_LINK);
    setOwnOperation(ring, poll, THREAD_END);
    setOwnOperation(ring, prepCancelAll(ring), THREAD_END);
  }

  /** The ring must be closed by now. */
  close(): void {
    for (const fd of this.#descriptors) {
      disown(Owned.Handle, fd);
      check(close(fd), 'close a port', 'close');
    }
  }
}
