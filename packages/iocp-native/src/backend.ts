// Which backends there are, in order of preference, and which of them can serve here. The one place that asks which
// platform this is.

import { availableParallelism } from 'node:os';
import type { BackendName, CompletionPort, PortOptions, PortPoster, PortToken } from './contract.js';
import { IocpError } from './errors.js';
import { linuxBackend } from './linux/backend.js';
import { portableBackend } from './portable/backend.js';
import { win32Backend } from './win32/backend.js';

/** Whether a backend can serve here, and if not, why not. */
export type Availability = { readonly available: true } | { readonly available: false; readonly reason: string };

/** What a backend offers to the selector. Importing one never throws; asking it is cheap after the first time. */
export interface Backend {
  readonly name: BackendName;
  available(): Availability;
  /** Throws an IocpError when the kernel refuses. */
  open(options: Required<PortOptions>): CompletionPort;
  openPoster(token: PortToken): PortPoster;
}

const all: readonly Backend[] = [win32Backend, linuxBackend, portableBackend];

export interface OpenOptions extends PortOptions {
  /** Only this backend. Default: the first available one. `OVERLAPPED_BACKEND` in the environment sets the default. */
  readonly backend?: BackendName;
}

/** The backends in order of preference, each with whether it is available and, if not, the reason. */
export function candidates(): { name: BackendName; availability: Availability }[] {
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
  if ((count & (count - 1)) !== 0) throw invalid(`receiveBuffers.count must be a power of two, not ${count}`);
  return choose(options.backend).open({ concurrency, receiveBuffers: { count, size } });
}

/** Opens the posting side of a port in any thread, from what `port.share()` gave. */
export function openPoster(token: PortToken): PortPoster {
  return named(token.backend).openPoster(token);
}

function choose(wanted: string | undefined): Backend {
  const name = wanted ?? (process.env.OVERLAPPED_BACKEND || undefined);
  if (name !== undefined) {
    const backend = named(name);
    const state = backend.available();
    if (state.available) return backend;
    throw new IocpError(`use the ${name} backend`, state.reason, 'ENOTSUP', 'openPort');
  }
  // The portable backend is always available, so there is one.
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
