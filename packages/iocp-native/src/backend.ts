// Which backends there are, in order of preference, and which of them can serve here. The one place that asks which
// platform this is.

import { availableParallelism } from 'node:os';
import type { Availability, Backend, LeftOver } from './contract/driver.js';
import { IocpError } from './contract/errors.js';
import type { BackendName, CompletionPort, Endpoint, PortOptions, PortPoster, PortToken } from './contract/port.js';
import { epollBackend } from './linux/epoll/backend.js';
import { linuxBackend } from './linux/io-uring/backend.js';
import { bindAll } from './native/bindings.js';
import { checkLedger, takeRecords } from './native/ledger.js';
import { dropPosted } from './port/handed-posts.js';
import { portableBackend } from './portable/backend.js';
import { win32Backend } from './win32/backend.js';

const all: readonly Backend[] = [win32Backend, linuxBackend, epollBackend, portableBackend];

/** Which port is opened, and how. */
export interface OpenOptions extends PortOptions {
  /** Only this backend. Default: the first available one. `OVERLAPPED_BACKEND` in the environment sets the default. */
  readonly backend?: BackendName;
}

/** A backend that this package has. */
export interface Candidate {
  /** The name to ask for it by. */
  readonly name: BackendName;
  /** Whether it can serve here. */
  readonly availability: Availability;
}

/** The backends in order of preference, each with whether it is available and, if not, the reason. Never throws. */
export function candidates(): Candidate[] {
  return all.map((backend) => ({ name: backend.name, availability: backend.available() }));
}

/**
 * Opens a completion port for the calling thread.
 * Throws an IocpError: EINVAL for a bad option or an unknown backend, ENOTSUP when the backend asked for is not available.
 */
export function openPort(options: OpenOptions = {}): CompletionPort {
  const { count, size } = options.receiveBuffers ?? { count: 1024, size: 8256 };
  const concurrency = options.concurrency ?? availableParallelism();
  checkInteger('concurrency', concurrency, 1, 4096);
  checkInteger('receiveBuffers.count', count, 1, 32768);
  checkInteger('receiveBuffers.size', size, 64, 1 << 20);
  if (size % 4 !== 0) throw invalid(`receiveBuffers.size must be a multiple of 4, not ${size}`);
  if ((count & (count - 1)) !== 0) throw invalid(`receiveBuffers.count must be a power of two, not ${count}`);
  const open = (backend: Backend) => {
    if (backend !== portableBackend) bindAll();
    return backend.open({ concurrency, receiveBuffers: { count, size } });
  };
  const backend = choose(options.backend);
  try {
    return open(backend);
  } catch (error) {
    // It may have been forbidden since it was tried: then it is not to be chosen any more.
    if (backend.available().available) throw error;
    return open(choose(options.backend));
  }
}

/** Opens the posting side of a port in any thread, from the handle that `port.share()` gave. */
export function openPoster(token: PortToken): PortPoster {
  return named(token.backend).openPoster(token);
}

/**
 * Closes a connection that a detached listener brought and that no port has adopted.
 * Throws an IocpError: EBADF for a value that is no handle, ENOTSUP for a backend that has none.
 */
export function closeHandle(backend: BackendName, handle: number): void {
  dropPosted(handle);
  named(backend).closeHandle(handle);
}

/**
 * Where a connection comes from that a detached listener brought and that no port has adopted.
 * Throws an IocpError: ENOTCONN when it is gone already, ENOTSUP for a backend that has none.
 */
export function remoteEndpointOf(backend: BackendName, handle: number): Endpoint {
  return named(backend).remoteEndpointOf(handle);
}

/**
 * Gives back to the system the resources of a thread that has ended, by the ledger that it kept: sockets, the kernel's
 * queues, native memory. To be called when the thread is gone: for a Worker, after its 'exit' event. Harmless after an
 * orderly end, and when called again.
 *
 * With the token of the thread's port, posting to that fails from now on, and posts that were not served go to
 * `onLeftOver`, once everything else is done: it may name sockets that must go elsewhere. Not served are those never dequeued,
 * and those of the last batch that name no handle which the thread has adopted or closed.
 */
export function reap(memory: SharedArrayBuffer, token?: PortToken, onLeftOver?: LeftOver): void {
  checkLedger(memory);
  // In the order in which they were posted: those that the thread had dequeued are older.
  const dequeued: [key: number, bytes: number][] = [];
  const queued: [key: number, bytes: number][] = [];
  // No thread may write to a descriptor that is closed next.
  if (token) named(token.backend).closeQueue(token, (key, bytes) => queued.push([key, bytes]));
  const records = takeRecords(memory);
  if (records.length > 0) preferred().reap(records, (key, bytes) => dequeued.push([key, bytes]));
  for (const [key, bytes] of [...dequeued, ...queued]) onLeftOver?.(key, bytes);
}

/**
 * A thread that posted through this token has ended: for a Worker, after its 'exit' event. If it was terminated in the
 * middle of a post, the queue is freed for others, and the port woken.
 */
export function recoverPoster(token: PortToken, threadId: number): void {
  named(token.backend).recoverPoster(token, threadId);
}

function choose(wanted: string | undefined): Backend {
  const name = wanted ?? (process.env.OVERLAPPED_BACKEND || undefined);
  if (name !== undefined) {
    const backend = named(name);
    const state = backend.available();
    if (state.available) return backend;
    throw new IocpError(`use the ${name} backend`, state.reason, 'ENOTSUP', 'openPort');
  }
  return preferred();
}

/** The portable backend is always available, so there is one. */
function preferred(): Backend {
  return all.find((backend) => backend.available().available)!;
}

function named(name: string): Backend {
  const backend = all.find((b) => b.name === name);
  if (!backend) throw invalid(`there is no backend "${name}"; there are ${all.map((b) => b.name).join(', ')}`);
  return backend;
}

function checkInteger(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw invalid(`${name} must be a whole number from ${least} to ${most}, not ${value}`);
}

function invalid(reason: string): IocpError {
  return new IocpError('open a port', reason, 'EINVAL', 'openPort');
}
