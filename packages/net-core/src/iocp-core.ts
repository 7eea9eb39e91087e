// IocpCore as users see it. The class behind it is Core.

import type { inspect } from 'node:util';
import type { ResourceLimits } from 'node:worker_threads';
import type { BackendName, PortToken } from '@overlapped/iocp-native';
import { Core } from './core.js';
import type { ServerStats } from './core-stats.js';
import type { Stoppable } from './owners.js';
import type { System } from './system.js';
import type { TimerQueue } from './timers.js';
import type { PostTarget } from './user-events.js';
import type { WorkerPool } from './workers/worker-pool.js';

/** How a core is made. */
export interface IocpCoreOptions {
  /** Default: the best one that is available here. */
  readonly backend?: BackendName;
  /**
   * How many threads of the shared port run at a time (`shared` of a listener). It limits nothing else: other sessions are served
   * by one thread each. Default: the number of cores.
   */
  readonly concurrency?: number;
  /**
   * Worker threads, each with a port and a dedicated pump of its own, 0 to 256. They are started when something is first
   * given to them. Default: the number of cores; 0 where the backend has no port that threads could share work by.
   * For shared sessions it is the number of threads that wait on the shared port, by default twice the concurrency.
   */
  readonly threads?: number;
  /** Limits of each worker thread's heap, as `Worker` of node:worker_threads takes them. */
  readonly resourceLimits?: ResourceLimits;
  /**
   * A worker thread threw outside of a handler, ran out of memory, or exited. Its sessions are lost, and another takes its
   * place. Default: a process warning.
   */
  readonly onWorkerLost?: (error: Error, index: number) => void;
  /** The most sessions at a time, in each thread, with those that are connecting; it sizes the event pool. 1 to 500,000; default 65,536. */
  readonly maxSessions?: number;
  /**
   * This thread does little else: wait in the kernel instead of in the event loop, which is still served promptly. Less
   * CPU time for each message. Default false: the pump is a guest of the event loop.
   */
  readonly dedicated?: boolean;
  /** For tests: the system to run on in the place of this one, such as a simulation of `@overlapped/iocp-native/testing`. */
  readonly system?: System;
  /** Gets the numbers that other threads post, through `openPoster(core.share())`. The key 2^32 - 1 is the core's own. */
  readonly onPost?: (key: number, bytes: number) => void;
}

/** Reaches shared sessions by their ids. */
export interface SharedSessions {
  /**
   * Sends bytes to a shared session. False if it is over or takes no more bytes (they are dropped), or if its queue is above the
   * high watermark (they are queued).
   */
  send(id: number, data: Uint8Array | string): boolean;
  /** Gives a shared session a message: its onMessage is called with a copy, in a turn of its own. False if it is over, or no memory is left. */
  tell(id: number, message: Uint8Array | string): boolean;
}

/**
 * A completion port with its pump. It belongs to the thread that made it, and keeps the process alive until stop().
 */
export interface IocpCore extends SharedSessions {
  /** The kernel interface that serves the port. */
  readonly backend: BackendName;
  /** The most sessions at a time, in each thread. */
  readonly maxSessions: number;
  /** How many worker threads `workers` starts. */
  readonly threads: number;
  /** Timers of this core. */
  readonly timers: TimerQueue;
  /** The worker threads; the first read starts them. Asserts that `threads` is not 0, and that the core does not stop. */
  readonly workers: WorkerPool;
  /** Sessions of this thread that are open. Sessions in worker threads: see stats(). */
  readonly sessions: number;
  /** Whether stop() was called. */
  readonly stopping: boolean;

  /** Posts a packet to this core: `target.onPost(payload)` is called from the pump, after all packets that were posted before. */
  post<Payload>(target: PostTarget<Payload>, payload: Payload): void;

  /** A token for `openPoster()` in another thread. The numbers that are posted there come to `onPost`. */
  share(): PortToken;

  /** Statistics in all, of this thread, and of each worker thread. Each thread writes its own at the end of a batch. */
  stats(): ServerStats;

  /** Makes `stop()` wait for `stoppable`, which must be detached when it has ended. */
  attach(stoppable: Stoppable): void;

  /** Undoes attach(). */
  detach(stoppable: Stoppable): void;

  /**
   * Stops in order: everything attached ends, within `grace` milliseconds (default 5000); then the port closes. Packets that were
   * posted and have not been delivered by then are dropped. Rejects with the error of an end that failed, or with an
   * AssertionError that says which events and buffers have not come back. Throws a RangeError for a bad `grace`.
   */
  stop(grace?: number): Promise<void>;

  /** The form of a core in JSON and `console.log()`: its options and levels, without the memory of its sessions. */
  toJSON(): object;

  /** The same for `console.log()`. */
  [inspect.custom](): string;

  /** `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a core. Throws a TypeError or RangeError for an unknown or wrong option, or an IocpError: EINVAL for an unknown
 * backend, ENOTSUP when the backend asked for is not available, ENOMEM.
 */
export const IocpCore: new (options?: IocpCoreOptions) => IocpCore = Core;

/** The members of a core for the packages of this repository. */
export function internalsOf(core: IocpCore): Core {
  return core as Core;
}
