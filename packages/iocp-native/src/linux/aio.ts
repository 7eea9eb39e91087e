// The context of Linux AIO (io_setup(2)) that a thread's ports share. io_submit(2) makes many calls on sockets in one, each in turn, and
// all have ended when it returns.
//
// io_destroy(2) takes tens of milliseconds. So the main thread keeps its context, and a worker thread gives it back with its last port.

import { isMainThread } from 'node:worker_threads';
import { disown, Owned, own } from '../native/ledger.js';
import { SYS_io_destroy, SYS_io_setup } from './layout.js';
import { check, destroyContext, setupContext } from './libc.js';
import { closesAtThreadEnd } from './thread-end.js';

/** Operations of one io_submit(2). The system has fs.aio-max-nr in all, 65,536 if nobody has changed it. */
export const MOST_OPERATIONS = 128;

const id = Buffer.alloc(8);
/** Undefined: not asked for yet. 0: there is none. */
let context: number | undefined;
let users = 0;

/**
 * The thread's context, which is the port's too until it calls leaveContext(). 0 when the system refuses one (a seccomp filter,
 * fs.aio-max-nr), or when it would be left behind at the end of the thread: see thread-end.ts.
 */
export function joinContext(): number {
  users++;
  context ??= closesAtThreadEnd() ? 0 : setUp();
  return context;
}

/** The port uses it no longer. */
export function leaveContext(): void {
  if (--users > 0 || isMainThread || !context) return;
  disown(Owned.Context, context);
  check(destroyContext(SYS_io_destroy, context), 'close a port', 'io_destroy');
  context = undefined;
}

function setUp(): number {
  id.fill(0);
  if (setupContext(SYS_io_setup, MOST_OPERATIONS, id) < 0) return 0;
  const made = Number(id.readBigUInt64LE());
  own(Owned.Context, made);
  return made;
}
