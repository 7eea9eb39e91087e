// One worker thread, as the core that started it sees it.

import type { ResourceLimits, Worker } from 'node:worker_threads';
import { IocpError, openPoster, type PortPoster, type PortToken } from '@overlapped/iocp-native';
import { createLedger, LoadGuard, landError, reap, startThread, threadEntry } from '@overlapped/iocp-native/internal';
import type { CoreStats } from '../core-stats.js';
import type { IocpCoreOptions } from '../iocp-core.js';
import { countersOf, Stat, StatsBlock } from '../stats.js';
import type { Report, Request, WorkerStart } from './protocol.js';
import { type SharedMessages, threadIndexOf } from './shared-messages.js';

/** Milliseconds beyond its grace that a thread gets to finish its end. A thread that does not run gets none. */
const PATIENCE = 2000;
/** The least milliseconds in which a thread must have run. */
const LEAST_GRACE = 500;
/** Milliseconds that a thread gets to end when it is terminated: it cannot be while it is in a call of the system. */
const LAST_PATIENCE = 2000;
/** Milliseconds until a thread that loads native code may be terminated, perhaps. */
const RETRY = 1;
/** So many looks at a thread in which it did not sleep, and its pump has not turned. */
export const LOOKS_IN_VAIN = 10;

interface WorkerOptions {
  readonly messages: SharedMessages;
  readonly core: IocpCoreOptions;
  readonly resourceLimits: ResourceLimits | undefined;
}

type Ask = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

/** The sockets of one service: how many were posted to the thread, and how many of these the thread says are over. */
interface Share {
  handed: number;
  readonly ended: Int32Array;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class WorkerThread {
  readonly index: number;
  readonly threadId: number;
  readonly statsBlock = new StatsBlock();
  /** Resolves when the thread's core is there; rejects when it could not be made. */
  readonly ready: Promise<void>;
  /** Resolves when the thread is gone and its resources have been given back; with the error, if it did not end in order. */
  readonly ended: Promise<Error | undefined>;
  readonly #worker: Worker;
  readonly #ledger = createLedger();
  readonly #guard = new LoadGuard();
  /** Resolves when it was terminated and does not end. */
  readonly #abandoned: Promise<Error>;
  #abandon!: (error: Error) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #shares = new Map<number, Share>();
  #nextId = 1;
  #token: PortToken | undefined;
  #poster: PortPoster | undefined;
  readonly #messages: SharedMessages;
  /** Requests that wait for an answer only as long as the thread runs. */
  readonly #impatient = new Set<() => void>();
  #stopping = false;
  #gone = false;
  /** Why it was terminated. */
  #reason: Error | undefined;
  /** It has answered that its core has stopped. */
  #stopped = false;
  /** Sessions that it had when it ended. */
  #lost = 0;
  /** The turns of its pump at the last look, and how many looks ago that changed. */
  #turns = 0;
  #unchanged = 0;

  /** `onLeftOver` gets the packets that were posted to the thread and that it did not take before it ended. */
  constructor(index: number, options: WorkerOptions, onLeftOver: (key: number, bytes: number) => void) {
    this.index = index;
    this.#messages = options.messages;
    const { control, block } = options.messages;
    const start: WorkerStart = {
      index,
      options: options.core,
      ledger: this.#ledger,
      stats: this.statsBlock.memory,
      messages: { control, address: block.address },
      guard: this.#guard.memory,
    };
    const { resourceLimits } = options;
    const name = `overlapped-${index}`;
    this.#worker = startThread(threadEntry('#overlapped/worker', import.meta.url), {
      workerData: start,
      name,
      ...(resourceLimits && { resourceLimits }),
    });
    const { threadId } = this.#worker;
    this.threadId = threadId;
    this.#guard.watch();
    this.#abandoned = new Promise((resolve) => {
      this.#abandon = resolve;
    });
    let failure: Error | undefined;
    this.#worker.once('error', (error) => {
      failure = error instanceof Error ? error : new Error(`a worker threw ${String(error)}`);
    });
    this.ready = new Promise((resolve, reject) => {
      this.#waiting.set(0, { resolve: () => resolve(), reject });
    });
    // A caller that waits for `ready` gets its rejection; without one it is handled here.
    this.ready.catch(() => {});
    this.#worker.on('message', (report: Report) => this.#reported(report));
    this.ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        const inOrder = this.#stopping && failure === undefined && (code === 0 || this.#stopped);
        const ended = failure ?? this.#reason ?? new Error(`a worker thread ended with exit code ${code}`);
        const error = inOrder ? undefined : ended;
        this.#gone = true;
        this.#guard.unwatch();
        this.#lost = this.statsBlock.values[Stat.sessions]!;
        this.#poster = undefined;
        this.#rejectAll(error ?? new Error('the worker thread has stopped'));
        reap(this.#ledger, this.#token, onLeftOver);
        options.messages.releaseAll(threadIndexOf(index), threadId);
        resolve(error);
      });
    });
  }

  /** How other threads post to it, when its core is there. */
  get token(): PortToken | undefined {
    return this.#token;
  }

  /** Of a thread that is gone only the counters remain. */
  stats(): CoreStats {
    const stats = this.statsBlock.read();
    return this.#gone ? { ...countersOf(stats), lost: this.#lost } : stats;
  }

  /** Connections that were handed to it and are not over: its sessions, and those that it has not taken yet. */
  get load(): number {
    let load = 0;
    for (const share of this.#shares.values()) load += outOf(share);
    return load;
  }

  /** The same, of one service. */
  sessionsOf(service: number): number {
    const share = this.#shares.get(service);
    return share === undefined || this.#gone ? 0 : outOf(share);
  }

  /** Has it host a module. */
  host(service: number, module: string, data: unknown, first: unknown): Promise<unknown> {
    const ended = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    this.#shares.set(service, { handed: 0, ended });
    return this.ask({ ask: 'host', service, module, data, first, ended });
  }

  /** Rejects when the thread does not answer in time, and is terminated. */
  endService(service: number, grace: number): Promise<unknown> {
    const ended = this.#within(grace, () => this.ask({ ask: 'endService', service, grace }));
    return ended.finally(() => this.#shares.delete(service));
  }

  /** Hands it a socket of a service. False when it takes no more. */
  give(service: number, handle: number): boolean {
    if (!this.post(service, handle)) return false;
    const share = this.#shares.get(service);
    if (share) share.handed++;
    return true;
  }

  /** False when the thread takes no more: its queue is full, or it is gone. */
  post(key: number, bytes: number): boolean {
    return this.#poster?.post(key, bytes) ?? false;
  }

  /** Asks by message. Rejects with the thread's answer, or with the reason of its end. */
  ask(request: Ask): Promise<unknown> {
    if (this.#gone) return Promise.reject(new Error('the worker thread has ended'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id });
    });
  }

  /**
   * Stops the thread in order; when it does not stop within the grace it is terminated. Resolves when it is gone; rejects with
   * what leaked, or when it cannot be terminated.
   */
  async stop(grace: number): Promise<void> {
    if (this.#gone) return;
    this.#stopping = true;
    const until = performance.now() + grace;
    try {
      await this.#within(grace, () => this.ask({ ask: 'stop', grace }));
      this.#stopped = true;
    } finally {
      // Timers and handles of a module may keep the thread alive.
      const left = setTimeout(() => this.terminate(), Math.max(LEAST_GRACE, until - performance.now()));
      const error = await Promise.race([this.ended, this.#abandoned]);
      clearTimeout(left);
      // Else the rejection tells.
      if (error && this.#stopped) process.emitWarning(error);
    }
  }

  /** Terminates the thread, at once or when it has loaded its native code. Requests that wait for its answers are rejected with the reason. */
  terminate(reason?: Error): void {
    this.#reason ??= reason;
    if (this.#gone) return;
    if (this.#guard.forbid()) this.#end();
    else setTimeout(() => this.terminate(), RETRY);
  }

  /** It has not run for some looks: a handler does not return. */
  get hung(): boolean {
    return this.#unchanged >= LOOKS_IN_VAIN;
  }

  /** To be called again and again, see LOOKS_IN_VAIN. True when it is found to be hung now. */
  look(): boolean {
    if (this.#token === undefined || this.#gone) return false;
    const { turns, asleep } = this.statsBlock;
    const wasHung = this.hung;
    this.#unchanged = turns === this.#turns && !asleep ? this.#unchanged + 1 : 0;
    this.#turns = turns;
    if (this.hung) this.#messages.exclude(threadIndexOf(this.index));
    else if (wasHung) this.#messages.include(threadIndexOf(this.index));
    if (!this.hung || wasHung) return false;
    for (const giveUp of this.#impatient) giveUp();
    return true;
  }

  /** An answer; rejects when the thread is hung, or is found to be, before it comes. The thread may still carry out the request. */
  unlessHung<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const giveUp = () => {
        const action = `have the worker thread ${this.index} do something`;
        reject(new IocpError(action, 'it does not run: a handler does not return', 'ETIMEDOUT', 'postMessage'));
      };
      this.#impatient.add(giveUp);
      answer.then(resolve, reject).finally(() => this.#impatient.delete(giveUp));
      if (this.hung) giveUp();
    });
  }

  /** An answer, when it comes in time; else the thread is terminated. */
  async #within<T>(grace: number, ask: () => Promise<T>): Promise<T> {
    const { turns } = this.statsBlock;
    const action = `stop the worker thread ${this.index}`;
    const atGrace = setTimeout(
      () => {
        // One that still loads its modules runs no handler.
        if (this.#token === undefined || this.statsBlock.turns !== turns || this.statsBlock.asleep) return;
        this.terminate(new IocpError(action, 'a handler has not returned within the grace', 'ETIMEDOUT', 'terminate'));
      },
      Math.max(grace, LEAST_GRACE),
    );
    const late = setTimeout(() => {
      this.terminate(new IocpError(action, 'it has not answered within its grace', 'ETIMEDOUT', 'terminate'));
    }, grace + PATIENCE);
    try {
      return await ask();
    } finally {
      clearTimeout(atGrace);
      clearTimeout(late);
    }
  }

  #end(): void {
    void this.#worker.terminate();
    const stuck = setTimeout(() => {
      const action = `end the worker thread ${this.index}`;
      const error = new IocpError(action, 'it is in a call that cannot be interrupted', 'ETIMEDOUT', 'terminate');
      this.#worker.unref();
      this.#rejectAll(error);
      this.#abandon(error);
    }, LAST_PATIENCE);
    void this.ended.then(() => clearTimeout(stuck));
  }

  #rejectAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #reported(report: Report): void {
    if ('ready' in report) {
      this.#token = report.ready;
      this.#poster = openPoster(report.ready);
      this.#answered(0)?.resolve(undefined);
    } else if ('error' in report) {
      this.#answered(report.id)?.reject(landError(report.error));
    } else {
      this.#answered(report.id)?.resolve(report.value);
    }
  }

  #answered(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}

/** Connections that were handed over and have not ended. The 32-bit counter may wrap: the difference is right all the same. */
function outOf({ handed, ended }: Share): number {
  return (handed - Atomics.load(ended, 0)) | 0;
}
