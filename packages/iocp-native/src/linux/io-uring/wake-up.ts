// Whether the kernel wakes a guest: a ring polls a timer, the thread waits for the ring's eventfd in an epoll, as the event
// loop does, and the timer fires. A kernel that does not signal then would leave a core waiting for ever.
//
// One is not enough: Linux 6.12.114 to 6.12.118 signal the eventfd of a ring with DEFER_TASKRUN once and never again.

import { disown, Owned, own } from '../../native/ledger.js';
import { EINTR, linuxError } from '../errors.js';
import {
  CLOCK_MONOTONIC,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  EPOLL,
  EPOLL_EVENT,
  POLLIN,
  TFD_CLOEXEC,
  TFD_NONBLOCK,
} from '../layout.js';
import {
  check,
  close,
  epoll_create1,
  epoll_ctl,
  epoll_wait,
  errno,
  eventfd,
  timerfd_create,
  timerfd_settime,
} from '../libc.js';
import { clearSignal } from '../signals.js';
import type { Ring } from './ring.js';
import { prepPollAddMulti } from './submissions.js';

/** Nanoseconds until the timer fires: mostly the thread sleeps by then. */
const DELAY = 100_000n;
/** Milliseconds of one wait. */
const WAIT = 50;

/**
 * Tries so many wake-ups, and gives the milliseconds that each took; it ends with the first that did not come in `patience`
 * milliseconds. The ring must be idle, and no eventfd registered. Throws an IocpError.
 */
export function wakeUps(ring: Ring, tries: number, patience: number): number[] {
  const delays: number[] = [];
  const descriptors: number[] = [];
  const open = (result: number, syscall: string) => {
    const fd = check(result, 'try a wake-up', syscall);
    own(Owned.Handle, fd);
    descriptors.push(fd);
    return fd;
  };
  try {
    const signals = open(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd');
    const timer = open(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), 'timerfd_create');
    const epoll = open(epoll_create1(EPOLL.CLOEXEC), 'epoll_create1');
    const event = Buffer.alloc(EPOLL_EVENT.size);
    event.writeUInt32LE(EPOLL.IN, 0);
    check(epoll_ctl(epoll, EPOLL.CTL_ADD, signals, event), 'try a wake-up', 'epoll_ctl');
    ring.registerEventfd(signals);
    prepPollAddMulti(ring, timer, POLLIN);
    ring.enter(0);
    // struct itimerspec: the interval (16), then the first time, in seconds and nanoseconds.
    const time = Buffer.alloc(32);
    time.writeBigInt64LE(DELAY, 24);
    while (delays.length < tries) {
      ring.eventfdEnabled = true;
      const begin = performance.now();
      check(timerfd_settime(timer, 0, time, null), 'try a wake-up', 'timerfd_settime');
      if (!signalled(epoll, event, patience)) break;
      delays.push(performance.now() - begin);
      ring.eventfdEnabled = false;
      clearSignal(signals);
      ring.enter(0);
      ring.advance(ring.cqTail());
    }
    return delays;
  } finally {
    for (const fd of descriptors) {
      disown(Owned.Handle, fd);
      check(close(fd), 'try a wake-up', 'close');
    }
  }
}

/**
 * Waits for the signal. The kernel ends the wait to finish the poll, and other signals do, too: that is EINTR. The measure is
 * not the time but waits that nothing ended: a thread that has no processor for long sees nothing until it waits again.
 */
function signalled(epoll: number, event: Buffer, patience: number): boolean {
  for (let waits = 0; waits * WAIT < patience; ) {
    const count = epoll_wait(epoll, event, 1, WAIT);
    if (count > 0) return true;
    if (count === 0) waits++;
    else if (errno() !== EINTR) throw linuxError('try a wake-up', 'epoll_wait', errno());
  }
  return false;
}
