// The common part of the backends of Linux.

import type { Availability, Backend } from '../contract/driver.js';
import { closePostedQueue, PostedQueue } from '../port/posted-queue.js';
import { otherRuntime } from '../runtime.js';
import { check, close, getpeername } from './libc.js';
import { PipePoster } from './poster.js';
import { reap } from './reaper.js';
import { signal } from './signals.js';
import { endpointOf } from './sockets.js';

/** Those whose numbers and structures layout.ts has. */
const ARCHITECTURES = ['x64', 'arm64', 'riscv64', 'loong64'];

/** A backend's functions for descriptors, posts and the resources of threads that have ended. */
export const linuxHandles: Omit<Backend, 'name' | 'available' | 'open'> = {
  openPoster: (token) => new PipePoster(token),
  closeHandle(handle) {
    check(close(handle), 'close a connection', 'close');
  },
  remoteEndpointOf: (handle) => endpointOf(handle, 'getpeername', getpeername),
  closeQueue: closePostedQueue,
  reap,
  recoverPoster: (token, thread) => new PostedQueue(token.queue!).recover(thread, () => signal(token.handle)),
};

/** Why no backend of Linux can serve in this process, if that is so. @param name of the backend */
export function whyNotLinux(name: string): string | undefined {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (ARCHITECTURES.includes(process.arch)) return otherRuntime();
  return `the architecture is ${process.arch}, and ${name} is served on ${ARCHITECTURES.join(', ')} only`;
}

export function unavailable(reason: string): Availability {
  return { available: false, reason };
}
