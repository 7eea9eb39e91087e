// Whether io_uring can serve here: it is tried once, with every feature that the port uses.

import { release } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import type { Availability, Backend } from '../../contract/driver.js';
import { type IocpError, isIocpError } from '../../contract/errors.js';
import { closePostedQueue, PostedQueue } from '../../port/posted-queue.js';
import { otherRuntime } from '../../runtime.js';
import { assertLinuxLayout } from '../abi.js';
import { whyNoRing } from '../errors.js';
import { OP, REGISTER } from '../layout.js';
import { check, close, getpeername, io_uring_register } from '../libc.js';
import { PipePoster } from '../poster.js';
import { reap } from '../reaper.js';
import { signal } from '../signals.js';
import { endpointOf } from '../sockets.js';
import { closeAtThreadEnd } from '../thread-end.js';
import { smallestRing, whenFreed, withLargestRing } from './locked-memory.js';
import { UringPort } from './port.js';
import { Ring } from './ring.js';
import { taskRun } from './task-run.js';
import { wakeUps } from './wake-up.js';

/** Those whose numbers and structures layout.ts has. */
const ARCHITECTURES = ['x64', 'arm64', 'riscv64', 'loong64'];

/** How many wake-ups of a guest are tried, and the milliseconds until one is not expected any more. */
const WAKE_UPS = 2;
const PATIENCE = 500;

let known: Availability | undefined;

export const linuxBackend: Backend = {
  name: 'io_uring',
  available() {
    known ??= probe();
    return known;
  },
  open(options) {
    closeAtThreadEnd();
    try {
      return whenFreed(() => withLargestRing((ring) => new UringPort(options, ring)));
    } catch (error) {
      if (isIocpError(error) && isForbidden(error)) known = no(reason(error));
      throw error;
    }
  },
  openPoster: (token) => new PipePoster(token),
  closeHandle(handle) {
    check(close(handle), 'close a connection', 'close');
  },
  remoteEndpointOf: (handle) => endpointOf(handle, 'getpeername', getpeername),
  closeQueue: closePostedQueue,
  reap,
  recoverPoster: (token, thread) => new PostedQueue(token.queue!).recover(thread, () => signal(token.handle)),
};

/** Tries all that a port needs; available() keeps what this says. Never throws. */
export function probe(): Availability {
  if (process.platform !== 'linux') return no('this is not Linux');
  if (!ARCHITECTURES.includes(process.arch)) {
    return no(`the architecture is ${process.arch}, and io_uring is served on ${ARCHITECTURES.join(', ')} only`);
  }
  const runtime = otherRuntime();
  if (runtime) return no(runtime);
  try {
    assertLinuxLayout();
    const ring = whenFreed(() => new Ring(8, 16, taskRun()));
    try {
      const missing = missingOperations(ring.fd);
      if (missing.length > 0) return no(`the kernel has no ${missing.join(', ')}`);
      // Other threads look at the ring by a timer (see notifier.ts).
      const woken = isMainThread ? wakeUps(ring, WAKE_UPS, PATIENCE).length : WAKE_UPS;
      if (woken < WAKE_UPS) return no(`Linux ${release()} woke a thread for an io_uring ${woken} of ${WAKE_UPS} times`);
    } finally {
      ring.close();
    }
    // Opening one for a moment tries the rest: buffer rings, eventfds, mappings, and whether there is memory for the smallest. Of
    // many workers that begin at once, each would take the memory of another.
    const [count, open] = isMainThread ? [1024, smallestRing] : [8, () => new Ring(8, 16, taskRun())];
    const options = { concurrency: 1, receiveBuffers: { count, size: 64 } };
    whenFreed(() => new UringPort(options, open())).destroy();
    return { available: true };
  } catch (error) {
    // An AssertionError, too: of a structure that does not lie in memory as layout.ts says.
    return no(isIocpError(error) ? reason(error) : (error as Error).message);
  }
}

function isForbidden({ code, syscall }: IocpError): boolean {
  return syscall === 'io_uring_setup' && (code === 'EPERM' || code === 'EACCES');
}

function reason({ code, syscall, message }: IocpError): string {
  const why = syscall === 'io_uring_setup' ? whyNoRing(code) : undefined;
  return why === undefined ? message : `${why} (${code})`;
}

function no(why: string): Availability {
  return { available: false, reason: why };
}

/**
 * IORING_REGISTER_PROBE: struct io_uring_probe (16 bytes), then for each opcode 8 bytes: number (1), reserved (1),
 * flags (2; bit 0 says "supported"), reserved (4).
 */
function missingOperations(ringFd: number): string[] {
  const count = 64;
  const probed = Buffer.alloc(16 + count * 8);
  check(io_uring_register(ringFd, REGISTER.PROBE, probed, count), 'probe io_uring', 'io_uring_register');
  return Object.entries(OP)
    .filter(([, opcode]) => (probed.readUInt16LE(16 + opcode * 8 + 2) & 1) === 0)
    .map(([name]) => `IORING_OP_${name}`);
}
