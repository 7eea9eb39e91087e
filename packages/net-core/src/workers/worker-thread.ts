// One worker thread, as the core that started it sees it.

import type { ResourceLimits, Worker } from 'node:worker_threads';
import { openPoster, type PortPoster, type PortToken } from '@overlapped/iocp-native';
import { createLedger, reap } from '@overlapped/iocp-native/threads';
import { landError } from '../carried-error.js';
import { type CoreFigures, countersOf, FigureBoard } from '../figures.js';
import type { IocpCoreOptions } from '../iocp-core.js';
import { startThread, threadEntry } from '../thread-entry.js';
import { type Exchange, memberOf } from './exchange.js';
import type { Report, Request, WorkerStart } from './protocol.js';

/** Milliseconds beyond its grace that a thread gets to stop by itself. */
const PATIENCE = 2000;

interface WorkerOptions {
  readonly exchange: Exchange;
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
  readonly board = new FigureBoard();
  /** Resolves when the thread's core is there; rejects when it could not be made. */
  readonly ready: Promise<void>;
  /** Resolves when the thread is gone and what it left has been given back; with the error, if it did not end in order. */
  readonly ended: Promise<Error | undefined>;
  readonly #worker: Worker;
  readonly #ledger = createLedger();
  readonly #waiting = new Map<number, Waiting>();
  readonly #shares = new Map<number, Share>();
  #nextId = 1;
  #token: PortToken | undefined;
  #poster: PortPoster | undefined;
  #stopping = false;
  #gone = false;

  /** `onLeftOver` gets the packets that were posted to the thread and that it did not take before it ended. */
  constructor(index: number, options: WorkerOptions, onLeftOver: (key: number, bytes: number) => void) {
    this.index = index;
    const { control, block } = options.exchange;
    const start: WorkerStart = {
      index,
      options: options.core,
      ledger: this.#ledger,
      figures: this.board.memory,
      exchange: { control, address: block.address },
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
    let failure: Error | undefined;
    this.#worker.once('error', (error) => {
      failure = error instanceof Error ? error : new Error(`a worker threw ${String(error)}`);
    });
    this.ready = new Promise((resolve, reject) => {
      this.#waiting.set(0, { resolve: () => resolve(), reject });
    });
    // Whoever waits for `ready` gets its rejection; nobody has to.
    this.ready.catch(() => {});
    this.#worker.on('message', (report: Report) => this.#reported(report));
    this.ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        const inOrder = this.#stopping && failure === undefined && code === 0;
        const error = inOrder ? undefined : (failure ?? new Error(`a worker thread ended with exit code ${code}`));
        this.#gone = true;
        this.#poster = undefined;
        for (const { reject } of this.#waiting.values()) reject(error ?? new Error('the worker thread has stopped'));
        this.#waiting.clear();
        reap(this.#ledger, this.#token, onLeftOver);
        options.exchange.forget(memberOf(index), threadId);
        resolve(error);
      });
    });
  }

  /** How other threads post to it, when its core is there. */
  get token(): PortToken | undefined {
    return this.#token;
  }

  /** Of a thread that is gone only the counters remain. */
  figures(): CoreFigures {
    const figures = this.board.read();
    return this.#gone ? countersOf(figures) : figures;
  }

  /** Connections that were handed to it and are not over: its sessions, and what it has not taken yet. */
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

  endService(service: number, grace: number): Promise<unknown> {
    return this.ask({ ask: 'endService', service, grace }).finally(() => this.#shares.delete(service));
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

  /** Asks by message. Rejects with what the thread answers, or with why it ended. */
  ask(request: Ask): Promise<unknown> {
    if (this.#gone) return Promise.reject(new Error('the worker thread has ended'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id });
    });
  }

  /** Stops the thread in order; after the grace it is terminated. Resolves when it is gone; rejects with what leaked. */
  async stop(grace: number): Promise<void> {
    if (this.#gone) return;
    this.#stopping = true;
    const stopped = this.ask({ ask: 'stop', grace });
    const late = setTimeout(() => this.terminate(), grace + PATIENCE);
    try {
      await stopped;
    } finally {
      const error = await this.ended;
      clearTimeout(late);
      if (error) process.emitWarning(error);
    }
  }

  terminate(): void {
    this.#worker.terminate();
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

/** What was handed over and is not over. The counter has 32 bits and may wrap: the difference is right all the same. */
function outOf({ handed, ended }: Share): number {
  return (handed - Atomics.load(ended, 0)) | 0;
}
