// One thread of a JobPool, as its owner sees it.

import {
  MessageChannel,
  type MessagePort,
  type ResourceLimits,
  receiveMessageOnPort,
  type Worker,
} from 'node:worker_threads';
import { startThread } from '@overlapped/iocp-native/internal';
import type { Order, Report, ThreadStart } from './protocol.js';
import type { TransferList } from './transfer-list.js';

export interface PoolThreadOptions {
  /** The module and the memory that the thread runs with. */
  readonly entry: URL;
  readonly start: Omit<ThreadStart, 'port'>;
  readonly resourceLimits: ResourceLimits | undefined;
  /** Null for one that cannot be read here. */
  readonly onReport: (thread: PoolThread, report: Report | null) => void;
  /** The thread has ended. `error` is the cause, if there is one. */
  readonly onExit: (thread: PoolThread, error: unknown) => void;
}

/** It does not keep the process alive, unless `hold()` says so. */
export class PoolThread {
  readonly index: number;
  readonly threadId: number;
  readonly exited: Promise<void>;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  #error: unknown;

  constructor({ entry, start, resourceLimits, onReport, onExit }: PoolThreadOptions) {
    this.index = start.index;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const workerData: ThreadStart = { ...start, port: port2 };
    const name = `job thread ${start.index}`;
    this.#worker = startThread(entry, {
      workerData,
      transferList: [port2],
      name,
      ...(resourceLimits && { resourceLimits }),
    });
    this.threadId = this.#worker.threadId;
    this.#worker.unref();
    port1.on('message', (report: Report) => onReport(this, report));
    port1.on('messageerror', () => onReport(this, null));
    port1.unref();
    this.#worker.on('error', (error) => {
      this.#error = error;
    });
    this.exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        // Messages that it sent before its end count.
        for (let last = this.#next(); last; last = this.#next()) onReport(this, last.message);
        port1.close();
        onExit(this, this.#error);
        resolve();
      });
    });
  }

  tell(order: Order, list: TransferList = []): void {
    this.#port.postMessage(order, list);
  }

  /** Keeps the process alive until the thread has ended. */
  hold(): void {
    this.#worker.ref();
  }

  terminate(): void {
    void this.#worker.terminate();
  }

  /** The next report that has come; its message is null when it cannot be read here. */
  #next(): { readonly message: Report | null } | undefined {
    try {
      return receiveMessageOnPort(this.#port);
    } catch {
      return { message: null };
    }
  }
}
