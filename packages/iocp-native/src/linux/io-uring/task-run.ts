// How the rings of this thread finish operations. DEFER_TASKRUN costs less CPU time for each message, so it is used where it is
// safe; COOP_TASKRUN serves everywhere else.
//
//   main thread   a guest of the event loop waits for the ring's eventfd. With DEFER_TASKRUN the kernel signals that from wherever a
//                 socket became ready: Linux 6.12.114 to 6.12.118 once in a ring's life, Linux 7.1 and newer after an RCU grace period
//                 of 3 ms and more. So it is measured.
//   a core's      it waits in io_uring_enter(), and needs no eventfd. Its starter gives back the resources that it leaves
//   worker        behind (see ledger.ts).
//   a program's   its operations are cancelled at its end by an operation of its own ring (see thread-end.ts), which DEFER_TASKRUN would
//   own Worker    finish in its next io_uring_enter(): never.
//
// On other processors than x64 the kernel may miss that a guest begins to wait: where DEFER_TASKRUN adds an operation to those to
// be finished, no barrier stands between its store of SQ_FLAG.TASKRUN and its load of CQ_FLAG.EVENTFD_DISABLED.

import { isMainThread } from 'node:worker_threads';
import { isIocpError } from '../../contract/errors.js';
import { keepsLedger } from '../../native/ledger.js';
import { Ring, TaskRun } from './ring.js';
import { wakeUps } from './wake-up.js';

/** Wake-ups that are measured, and how many of them must be prompt: the thread may have no processor in one of them. */
const TRIES = 3;
const PROMPT_TRIES = 2;
/** Milliseconds. Less than an RCU grace period: that takes three ticks of the kernel, or more. */
const PROMPT = 1;
/** Milliseconds to wait for one. */
const PATIENCE = 50;

let known: TaskRun | undefined;

/** How this thread's rings finish operations. Measured once, before its first ring is set up. */
export function taskRun(): TaskRun {
  known ??= chooseTaskRun(isMainThread, keepsLedger());
  return known;
}

/**
 * The same for such a thread, measured anew.
 * @param isMain it may wait as a guest of the event loop
 * @param isKept another thread gives back the resources that it leaves behind
 */
export function chooseTaskRun(isMain: boolean, isKept: boolean): TaskRun {
  if (process.arch !== 'x64' || !(isMain || isKept)) return TaskRun.Coop;
  let ring: Ring;
  try {
    ring = new Ring(8, 16, TaskRun.Defer);
  } catch (error) {
    // Linux 6.0 has no DEFER_TASKRUN. Other faults show when the port's own ring is made.
    if (isIocpError(error)) return TaskRun.Coop;
    throw error;
  }
  try {
    return !isMain || isPrompt(wakeUps(ring, TRIES, PATIENCE)) ? TaskRun.Defer : TaskRun.Coop;
  } finally {
    ring.close();
  }
}

function isPrompt(delays: readonly number[]): boolean {
  return delays.length === TRIES && delays.filter((delay) => delay < PROMPT).length >= PROMPT_TRIES;
}
