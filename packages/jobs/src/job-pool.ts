// JobPool: runs functions of a module in threads that wait on one shared port. Small arguments and results travel through
// shared memory, others by messages. The owner is woken once for all the jobs that finish until it has looked.

import { setTimeout as sleep } from 'node:timers/promises';
import type { IocpError } from '@overlapped/iocp-native';
import {
  type CarriedError,
  checkGrace,
  createSharedPort,
  DEFAULT_GRACE,
  describe,
  landError,
  openSharedPort,
  type SharedPort,
  type SharedPortToken,
  threadEntry,
} from '@overlapped/iocp-native/internal';
import { Collector } from './collector.js';
import { reportJobThreadLoss } from './diagnostics.js';
import { Job } from './job.js';
import { JobQueue } from './job-queue.js';
import { Form, JobTable, SLOT_CAPACITY, SLOTS } from './job-table.js';
import { checked, type JobPoolOptions } from './options.js';
import { PoolThread, type PoolThreadOptions } from './pool-thread.js';
import { FINISHED, type Report } from './protocol.js';
import { refused, wrongInput } from './refusals.js';
import { JobSignals } from './signals.js';
import type { TransferList } from './transfer-list.js';
import { ValueCodec } from './values.js';

/** How a job is run. */
export interface RunOptions {
  /**
   * Aborting it rejects the promise at once, with the signal's reason. A job that has not started never does; one that
   * runs learns of it by `jobSignal()`.
   */
  readonly signal?: AbortSignal;
  /** The objects that move to the job instead of being copied. */
  readonly transfer?: TransferList;
}

/** Levels, and counters since the pool was made. */
export interface JobStats {
  /** Jobs that no thread has started. */
  readonly queued: number;
  /** Jobs that threads work on, or wait for. */
  readonly running: number;
  /** Jobs whose promise was fulfilled. */
  readonly finished: number;
  /** Jobs whose promise was rejected. */
  readonly failed: number;
  /** Threads that there are. */
  readonly threads: number;
  /** Threads that died: of an error that a job threw outside of itself, of memory, or by process.exit(). */
  readonly lostThreads: number;
  /** For each thread: how often it has slept for want of a job, since it was started. */
  readonly wakeUps: readonly number[];
}

/** Milliseconds more for a thread that is still loading its module, which ends by itself when it has. */
const LOAD_GRACE = 1000;
/** Milliseconds until packets are posted again that the port did not take. */
const RETRY = 1;
/** The longest time that setInterval() can wait, in milliseconds. */
const LONGEST = 2 ** 31 - 1;
const NONE: RunOptions = {};

/** It keeps the process alive while jobs are outstanding. It belongs to the thread that made it. */
export class JobPool {
  readonly #token: SharedPortToken;
  readonly #port: SharedPort;
  readonly #table = new JobTable();
  readonly #threadOptions: Omit<PoolThreadOptions, 'start'> & { readonly module: string };
  readonly #threads: (PoolThread | null)[];
  /** The jobs in the slots, and the free slots, the last one used first. */
  readonly #jobs: (Job | null)[] = new Array(SLOTS).fill(null);
  readonly #free = Array.from({ length: SLOTS }, (_, i) => SLOTS - 1 - i);
  /** Jobs that wait for a slot. */
  readonly #waiting = new JobQueue();
  /** Slots whose packets the port did not take, and the timer that tries again. */
  #unposted: number[] = [];
  #retry: NodeJS.Timeout | undefined;
  readonly #scratch = new ArrayBuffer(SLOT_CAPACITY);
  readonly #scratchCodec = new ValueCodec(this.#scratch);
  readonly #finishedSlots: number[] = [];
  readonly #collector = new Collector(
    this.#table,
    () => this.#takeFinished(),
    () => this.#outstanding > 0,
  );
  readonly #signals = new JobSignals((job) => this.#abort(job));
  readonly #keepAlive = setInterval(() => {}, LONGEST).unref();
  /** Jobs whose promise is not settled. */
  #outstanding = 0;
  #finished = 0;
  #failed = 0;
  #lost = 0;
  #stopped: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  /** Throws an IocpError: EINVAL for a bad option, ENOTSUP in a bundle that has swallowed this package. That the module does not load is for run() to say. */
  constructor(options: JobPoolOptions) {
    const { module, threads, concurrency, resourceLimits } = checked(options);
    const entry = threadEntry('#overlapped/job-thread', import.meta.url);
    this.#token = createSharedPort({ concurrency });
    this.#port = openSharedPort(this.#token);
    this.#threadOptions = { entry, module, resourceLimits, onReport: this.#reported, onExit: this.#exited };
    this.#threads = new Array(threads).fill(null);
    this.#startThreads();
  }

  /**
   * Runs the function that the module exports as `name`, in some thread. Arguments and result are cloned as by
   * structuredClone(). Rejects with the error that the job throws; with the reason of `signal`; or with an IocpError: ENOENT (no such
   * function), ENOEXEC (the module does not load), EINVAL (cannot be cloned), ECHILD (the thread died), ECANCELED (the pool
   * has stopped).
   */
  run<Result = unknown>(name: string, args: readonly unknown[] = [], options = NONE): Promise<Result> {
    return new Promise<unknown>((resolve, reject) => {
      // First all that may throw: from the first count on the job is settled on every path.
      const { signal, transfer } = options;
      const wrong = wrongInput(name, args, signal, transfer);
      if (wrong !== undefined) {
        reject(refused(String(name), 'EINVAL', wrong));
        return;
      }
      if (this.#stopped) {
        reject(refused(name, 'ECANCELED', 'the pool was stopped'));
        return;
      }
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const job = new Job(name, resolve, reject, signal);
      if (++this.#outstanding === 1) this.#keepAlive.ref();
      if (signal) this.#signals.add(signal, job);
      this.#submit(job, args, transfer);
    }) as Promise<Result>;
  }

  /** At this moment. */
  get stats(): JobStats {
    let queued = this.#waiting.size;
    let running = 0;
    this.#jobs.forEach((job, slot) => {
      if (job === null) return;
      if (this.#table.isQueued(slot)) queued++;
      else running++;
    });
    const wakeUps = this.#threads.map((_, index) => this.#table.wakeUpsOf(index));
    const threads = this.#threads.filter((thread) => thread !== null).length;
    return {
      queued,
      running,
      finished: this.#finished,
      failed: this.#failed,
      threads,
      lostThreads: this.#lost,
      wakeUps,
    };
  }

  /**
   * Takes no more jobs, waits up to `grace` milliseconds (default 5000) for those that it has, rejects the rest, and ends
   * the threads. Resolves when they are gone.
   */
  stop(grace = DEFAULT_GRACE): Promise<void> {
    checkGrace(grace);
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  /** `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(grace: number): Promise<void> {
    const deadline = new AbortController();
    const late = sleep(grace, undefined, { signal: deadline.signal }).catch(() => {});
    const idle = new Promise<void>((resolve) => {
      if (this.#outstanding === 0) resolve();
      else this.#onIdle = resolve;
    });
    await Promise.race([idle, late]);
    this.#rejectAll('ECANCELED', 'the pool was stopped');
    this.#port.close();
    const threads = this.#threads.filter((thread) => thread !== null);
    for (const thread of threads) thread.hold();
    const gone = Promise.all(threads.map(({ exited }) => exited));
    await Promise.race([gone, late]);
    // Node leaves files open in a thread that is terminated while it loads them.
    for (const thread of threads) if (this.#table.isLoaded(thread.index)) thread.terminate();
    await Promise.race([gone, sleep(LOAD_GRACE, undefined, { signal: deadline.signal }).catch(() => {})]);
    for (const thread of threads) thread.terminate();
    await gone;
    deadline.abort();
    clearTimeout(this.#retry);
    clearInterval(this.#keepAlive);
  }

  /** Fills a slot and posts its packet, or puts the job aside until there is a slot. */
  #submit(job: Job, args: readonly unknown[], transfer: TransferList = []): void {
    if (this.#threads.includes(null)) this.#startThreads();
    const slot = this.#waiting.size === 0 ? (this.#free.pop() ?? -1) : -1;
    const codec = slot >= 0 ? this.#table.open(slot) : this.#scratchCodec;
    if (slot < 0) codec.seek(0, SLOT_CAPACITY);
    let refusal: IocpError | undefined;
    if (!codec.write(job.name)) refusal = refused(job.name, 'ENOENT', 'its module has no such function');
    const end = codec.at;
    if (refusal === undefined && (transfer.length > 0 || !codec.writeAll(args))) {
      codec.seek(end, end);
      try {
        // Here and now: the caller may change them, and transferring takes them away.
        const list = [...transfer];
        job.large = structuredClone({ values: args, transfer: list }, { transfer: list });
      } catch (cause) {
        refusal = refused(job.name, 'EINVAL', `its arguments cannot be cloned: ${describe(cause)}`, cause);
      }
    }
    if (refusal !== undefined) {
      if (slot >= 0) this.#free.push(slot);
      this.#settle(job, false, refusal);
    } else if (slot >= 0) {
      this.#queue(job, slot);
    } else {
      job.bytes = new Uint8Array(this.#scratch.slice(0, codec.at));
      this.#waiting.push(job);
    }
  }

  #queue(job: Job, slot: number): void {
    const table = this.#table;
    table.setForm(slot, job.large === null ? Form.Arguments : Form.Ask);
    job.slot = slot;
    job.ticket = table.queue(slot);
    this.#jobs[slot] = job;
    if (this.#unposted.length > 0 || !this.#port.post(slot, job.ticket)) this.#postLater(slot);
    this.#collector.expect();
  }

  /** Gives a slot to the job that has waited longest. */
  #release(slot: number): void {
    this.#jobs[slot] = null;
    this.#table.free(slot);
    const job = this.#waiting.shift();
    if (job === null) {
      this.#free.push(slot);
      return;
    }
    this.#table.fill(slot, job.bytes!);
    job.bytes = null;
    this.#queue(job, slot);
  }

  /** The port is full, of packets whose jobs were withdrawn; or its lock is a dead thread's, until that is recovered. */
  #postLater(slot: number): void {
    this.#unposted.push(slot);
    this.#retry ??= setTimeout(this.#postAgain, RETRY);
  }

  readonly #postAgain = (): void => {
    this.#retry = undefined;
    const slots = this.#unposted;
    this.#unposted = [];
    for (const slot of slots) {
      const job = this.#jobs[slot];
      // Those that were withdrawn meanwhile are gone, or another job is in their place, which is in the list itself.
      if (!job || !this.#table.isQueued(slot)) continue;
      if (this.#unposted.length > 0 || !this.#port.post(slot, job.ticket)) this.#postLater(slot);
    }
  };

  readonly #reported = (thread: PoolThread, report: Report | null): void => {
    if (report === null) this.#unreadable(thread);
    else if (report === FINISHED) this.#collector.collect();
    else if (report.kind === 'end') this.#ended(report.slot, report.form, report.value);
    else this.#answer(thread, report.slot);
  };

  /** A thread asks for arguments. */
  #answer(thread: PoolThread, slot: number): void {
    const job = this.#jobs[slot]!;
    const { values, transfer } = job.large!;
    job.large = null;
    try {
      thread.tell({ kind: 'arguments', values: job.settled ? null : values }, job.settled ? [] : transfer);
    } catch (cause) {
      this.#settle(job, false, refused(job.name, 'EINVAL', `its arguments cannot be sent: ${describe(cause)}`, cause));
      thread.tell({ kind: 'arguments', values: null });
    }
    this.#table.answered(thread.index);
  }

  /** A result of this thread cannot be read here: of the job whose message is the next. */
  #unreadable(thread: PoolThread): void {
    const slot = this.#table.firstSentBy(thread.index);
    if (slot >= 0) this.#ended(slot, Form.Refused, ['EINVAL', 'its result cannot be cloned', undefined]);
  }

  /** Settles the jobs that have finished. False when there were none. */
  #takeFinished(): boolean {
    const slots = this.#finishedSlots;
    const table = this.#table;
    table.takeFinished(slots);
    for (const slot of slots) this.#ended(slot, table.form(slot), table.open(slot).read());
    return slots.length > 0;
  }

  #ended(slot: number, form: Form, value: unknown): void {
    const job = this.#jobs[slot]!;
    this.#release(slot);
    if (job.settled) return;
    if (form === Form.Result) {
      this.#settle(job, true, value);
    } else if (form === Form.Thrown) {
      this.#settle(job, false, landError(value as CarriedError));
    } else {
      const [code, reason, cause] = value as [string, string, CarriedError | undefined];
      this.#settle(job, false, refused(job.name, code, reason, cause && landError(cause)));
    }
  }

  #settle(job: Job, fulfilled: boolean, value: unknown): void {
    job.settled = true;
    if (job.signal) this.#signals.remove(job.signal, job);
    if (fulfilled) {
      this.#finished++;
      job.resolve(value);
    } else {
      this.#failed++;
      job.reject(value);
    }
    if (--this.#outstanding > 0) return;
    this.#keepAlive.unref();
    this.#onIdle?.();
  }

  #abort(job: Job): void {
    const { slot, ticket } = job;
    if (!this.#waiting.remove(job)) {
      if (this.#table.withdraw(slot, ticket)) {
        this.#release(slot);
      } else {
        this.#table.abort(slot, ticket);
        this.#threads[this.#table.threadOf(slot)]?.tell({ kind: 'abort', slot, ticket });
      }
    }
    this.#settle(job, false, job.signal!.reason);
  }

  /** Rejects all jobs, and withdraws those that have not started. */
  #rejectAll(code: string, reason: string, cause?: unknown): void {
    const jobs = this.#jobs.filter((job) => job !== null);
    for (let job = this.#waiting.shift(); job !== null; job = this.#waiting.shift()) jobs.push(job);
    for (const job of jobs) {
      if (job.slot >= 0 && this.#table.withdraw(job.slot, job.ticket)) this.#release(job.slot);
      if (!job.settled) this.#settle(job, false, refused(job.name, code, reason, cause));
    }
  }

  #startThreads(): void {
    const { module, ...options } = this.#threadOptions;
    this.#threads.forEach((thread, index) => {
      if (thread !== null) return;
      this.#table.reset(index);
      const start = { module, token: this.#token, table: this.#table.memory, index };
      this.#threads[index] = new PoolThread({ ...options, start });
    });
  }

  readonly #exited = (thread: PoolThread, error: unknown): void => {
    const { index } = thread;
    this.#threads[index] = null;
    // Jobs that it has finished count, also while the collector looks for itself, which it does in a later turn.
    this.#takeFinished();
    this.#collector.collect();
    const stopping = this.#port.closed;
    if (!stopping) {
      this.#port.recover(thread.threadId);
      this.#lost++;
    }
    // Whether or not a job ran there: the code that threw may belong to a job that is over.
    if (error !== undefined) reportJobThreadLoss(index, error);
    const reason = `its thread died${error instanceof Error ? `: ${error.message}` : ''}`;
    for (let slot = 0; slot < SLOTS; slot++) {
      const job = this.#jobs[slot];
      if (!job) continue;
      if (this.#table.threadOf(slot) === index) {
        this.#release(slot);
        if (!job.settled) this.#settle(job, false, refused(job.name, 'ECHILD', reason, error));
      } else if (this.#table.isQueued(slot)) {
        // The thread may have taken its packet and not claimed it yet. A packet too many does no harm.
        this.#postLater(slot);
      }
    }
    if (stopping) return;
    // One that died before it had started any job would die again: that waits for the next run().
    if (this.#table.startedBy(index) > 0) this.#startThreads();
    else if (this.#threads.every((other) => other === null)) this.#rejectAll('ECHILD', reason, error);
  };
}
