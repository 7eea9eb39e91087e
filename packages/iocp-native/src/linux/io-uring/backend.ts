// Whether io_uring can serve here: it is tried once, with every feature that the port uses.

import { release } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import type { Availability, Backend } from '../../contract/driver.js';
import { type IocpError, isIocpError } from '../../contract/errors.js';
import type { CompletionPort, PortOptions } from '../../contract/port.js';
import { Port } from '../../port/port.js';
import { assertLinuxLayout } from '../abi.js';
import { linuxHandles, unavailable, whyNotLinux } from '../backend.js';
import { whyNoRing } from '../errors.js';
import { OP, REGISTER } from '../layout.js';
import { check, io_uring_register } from '../libc.js';
import { linuxBlocks } from '../memory.js';
import { closeAtThreadEnd } from '../thread-end.js';
import { UringDriver } from './driver.js';
import { smallestRing, whenFreed, withLargestRing } from './locked-memory.js';
import { Ring } from './ring.js';
import type { UringSocket } from './socket.js';
import { taskRun } from './task-run.js';
import { wakeUps } from './wake-up.js';

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
      return whenFreed(() => withLargestRing((ring) => openPort(options, ring)));
    } catch (error) {
      if (isIocpError(error) && isForbidden(error)) known = unavailable(reason(error));
      throw error;
    }
  },
  ...linuxHandles,
};

/** A port with this ring. When it throws, the ring is closed. */
function openPort(options: Required<PortOptions>, ring: Ring): CompletionPort {
  try {
    return new Port<UringSocket>(
      { backend: 'io_uring', native: true, blocks: linuxBlocks, driver: (port) => new UringDriver(port, ring) },
      options,
    );
  } catch (error) {
    ring.close();
    throw error;
  }
}

/** Tries all that a port needs; available() keeps the result. Never throws. */
export function probe(): Availability {
  const why = whyNotLinux('io_uring');
  if (why !== undefined) return unavailable(why);
  try {
    assertLinuxLayout();
    const ring = whenFreed(() => new Ring(8, 16, taskRun()));
    try {
      const missing = missingOperations(ring.fd);
      if (missing.length > 0) return unavailable(`the kernel has no ${missing.join(', ')}`);
      // Other threads look at the ring by a timer (see notifier.ts).
      const woken = isMainThread ? wakeUps(ring, WAKE_UPS, PATIENCE).length : WAKE_UPS;
      if (woken < WAKE_UPS)
        return unavailable(`Linux ${release()} woke a thread for an io_uring ${woken} of ${WAKE_UPS} times`);
    } finally {
      ring.close();
    }
    // Opening one for a moment tries the rest: buffer rings, eventfds, mappings, and whether there is memory for the smallest. Of
    // many workers that begin at once, each would take the memory of another.
    const [count, open] = isMainThread ? [1024, smallestRing] : [8, () => new Ring(8, 16, taskRun())];
    const options = { concurrency: 1, receiveBuffers: { count, size: 64 } };
    whenFreed(() => openPort(options, open())).destroy();
    return { available: true };
  } catch (error) {
    // An AssertionError, too: of a structure that does not lie in memory as layout.ts says.
    return unavailable(isIocpError(error) ? reason(error) : (error as Error).message);
  }
}

function isForbidden({ code, syscall }: IocpError): boolean {
  return syscall === 'io_uring_setup' && (code === 'EPERM' || code === 'EACCES');
}

function reason({ code, syscall, message }: IocpError): string {
  const why = syscall === 'io_uring_setup' ? whyNoRing(code) : undefined;
  return why === undefined ? message : `${why} (${code})`;
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
