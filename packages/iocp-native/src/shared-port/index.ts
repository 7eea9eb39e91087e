// Shared ports: made once, opened by each thread that posts or waits. Windows keeps them in the kernel, others in memory.

import { availableParallelism } from 'node:os';
import { IocpError } from '../contract/errors.js';
import { win32Backend } from '../win32/backend.js';
import type { SharedPort, SharedPortToken } from './contract.js';
import { createKernelPort, KernelPort } from './kernel-port.js';
import { createMemoryPort, MemoryPort } from './memory-port.js';

export type { SharedPacket, SharedPort, SharedPortToken } from './contract.js';

/** How a shared port is made. */
export interface SharedPortOptions {
  /** NumberOfConcurrentThreads: how many threads run at a time. Default: the number of cores. */
  readonly concurrency?: number;
}

/** Makes a port for posted packets that several threads wait on. Throws an IocpError (EINVAL). */
export function createSharedPort(options: SharedPortOptions = {}): SharedPortToken {
  const { concurrency = availableParallelism() } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 4096) {
    const reason = `concurrency must be a whole number from 1 to 4096, not ${concurrency}`;
    throw new IocpError('create a shared port', reason, 'EINVAL', 'createSharedPort');
  }
  return win32Backend.available().available ? createKernelPort(concurrency) : createMemoryPort(concurrency);
}

/** The calling thread's view of a port that any thread made. */
export function openSharedPort(token: SharedPortToken): SharedPort {
  return token.kind === 'kernel' ? new KernelPort(token) : new MemoryPort(token);
}
