// The worker threads of a core: started once, replaced when one is lost, and given work by posting to the one that has
// the least.

import { setTimeout as sleep } from 'node:timers/promises';
import type { ResourceLimits } from 'node:worker_threads';
import { IocpError, type PortPoster, type PortToken } from '@overlapped/iocp-native';
import { closeHandle, recoverPoster } from '@overlapped/iocp-native/internal';
import type { CoreStats } from '../core-stats.js';
import type { IocpCoreOptions } from '../iocp-core.js';
import { sum } from '../stats.js';
import { MESSAGE_KEY, USER_KEYS } from './protocol.js';
import { type SharedMessages, threadIndexOf } from './shared-messages.js';
import { LOOKS_IN_VAIN, WorkerThread } from './worker-thread.js';

/** A thread that lived shorter than this, in milliseconds, is replaced after a pause, which doubles each time. */
const SHORT_LIFE = 1000;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 5000;
/** Milliseconds between two looks whether the threads run. */
const LOOK = 500;
/** Milliseconds until sockets that no thread could take are offered again, and how many may wait for that. */
const RETRY = 1;
const MOST_WAITING = 4096;

/** A service that every thread hosts. */
interface Service {
  readonly id: number;
  readonly module: string;
  /** A thread that replaces another one starts with it. */
  data: unknown;
  first: unknown;
}

/** One place in the pool, and the thread that holds it now. */
interface Place {
  thread: WorkerThread;
  /** It hosts every service. */
  serving: boolean;
  /** Its thread was lost: resolves when another hosts every service. Null when none is on its way. */
  replaced: Promise<void> | null;
  onReplaced?: () => void;
  pause: number;
}

export interface WorkerPoolOptions {
  readonly threads: number;
  readonly resourceLimits: ResourceLimits | undefined;
  readonly core: IocpCoreOptions;
  /** Of the core that has the pool, and how to post to that. */
  readonly messages: SharedMessages;
  readonly token: PortToken;
  readonly onLost: (error: Error, index: number) => void;
  /** A thread has not run for so many seconds. Called once, until it runs again. */
  readonly onHung: (index: number, seconds: number) => void;
}

/** The worker threads of a core. It belongs to the core's thread. */
export interface WorkerPool {
  /**
   * Posts a packet to one thread, 0 to `threads` - 1, for the `onPost` of the modules that it hosts: a key below 2^31 - 1
   * and a number of 32 bits. False when the thread takes no more at the moment. Throws a RangeError for no such thread or key.
   */
  post(index: number, key: number, bytes: number): boolean;
}

export class WorkerThreads implements WorkerPool {
  /** How to post to the threads, by their thread indexes. */
  readonly posters = new Map<number, PortPoster>();
  readonly #options: WorkerPoolOptions;
  readonly #places: Place[] = [];
  readonly #services = new Map<number, Service>();
  /** Sockets that no thread could take yet: service and handle. */
  readonly #waiting: [service: number, handle: number][] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #started: Promise<unknown>;
  readonly #watchdog = setInterval(() => this.#look(), LOOK).unref();
  #retry: NodeJS.Timeout | undefined;
  #nextService = 1;
  #retired: CoreStats = sum([]);
  #stopping = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    for (let i = 0; i < options.threads; i++) {
      this.#places.push({ thread: this.#startThread(i), serving: false, replaced: null, pause: FIRST_PAUSE });
    }
    this.#started = Promise.all(this.#places.map(({ thread }) => thread.ready)).then(() => this.#introduce());
    this.#started.catch(() => {});
  }

  /** Statistics of each thread, and the counters of those that are no more. */
  stats(): { threads: CoreStats[]; retired: CoreStats; hung: number } {
    const threads = this.#places.map(({ thread }) => thread.stats());
    return { threads, retired: this.#retired, hung: this.#places.filter(({ thread }) => thread.hung).length };
  }

  /**
   * Has every thread host a module, and every thread that replaces one. Resolves when all do; rejects when one cannot.
   */
  async host(module: string, data: unknown): Promise<WorkerService> {
    await this.#started;
    const service: Service = { id: this.#nextService++, module, data, first: undefined };
    await this.#someThread();
    // One that does not run hosts it when it runs again, and serves until then nothing.
    const late = this.#places.filter(({ thread, replaced }) => thread.hung || replaced !== null);
    const [first, ...others] = this.#places.filter((place) => !late.includes(place));
    try {
      if (first === undefined) throw noneRuns();
      service.first = await hostOn(first.thread, service);
      await Promise.all(others.map(({ thread }) => hostOn(thread, service)));
    } catch (error) {
      await this.#endService(service.id, 0, [first, ...others]);
      throw error;
    }
    this.#services.set(service.id, service);
    for (const place of [first, ...others]) place.serving = true;
    // A thread that replaces another one hosts all services that there are by then.
    for (const place of late) if (place.replaced === null) this.#hostLate(place, service);
    return {
      first: service.first,
      sessions: () => this.#sessionsOf(service.id),
      give: (handle) => this.#give(service.id, handle),
      update: (data) => this.#update(service, data),
      stop: (grace) => this.#endService(service.id, grace),
    };
  }

  post(index: number, key: number, bytes: number): boolean {
    const place = this.#places[index];
    if (place === undefined || !(key >= 0 && USER_KEYS + key < MESSAGE_KEY)) {
      throw new RangeError(`there is no worker thread ${index}, or ${key} is no key below 2^31 - 1`);
    }
    return place.serving && place.thread.post(USER_KEYS + key, bytes);
  }

  /** Stops all threads. Rejects with the error of one of them. */
  async stop(grace: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watchdog);
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#retry);
    for (const [, handle] of this.#waiting.splice(0)) this.#close(handle);
    const ends = await Promise.allSettled(this.#places.map(({ thread }) => thread.stop(grace)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  #startThread(index: number): WorkerThread {
    const born = performance.now();
    const thread = new WorkerThread(index, this.#options, (key, bytes) => {
      if (key < USER_KEYS) this.#give(key, bytes);
    });
    this.posters.set(threadIndexOf(index), thread);
    thread.ended.then((error) => this.#ended(index, error, performance.now() - born));
    return thread;
  }

  #ended(index: number, error: Error | undefined, lived: number): void {
    const place = this.#places[index]!;
    place.serving = false;
    place.replaced ??= new Promise((resolve) => {
      place.onReplaced = resolve;
    });
    // It may have ended in the middle of posting to one of the others.
    const others = this.#places.map(({ thread }) => thread.token).filter((token) => token !== undefined);
    for (const token of [this.#options.token, ...others]) recoverPoster(token, place.thread.threadId);
    if (this.#stopping) return;
    this.#options.onLost(error ?? new Error('a worker thread ended by itself'), index);
    place.pause = lived < SHORT_LIFE ? Math.min(place.pause * 2, LONGEST_PAUSE) : FIRST_PAUSE;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        this.#replace(index);
      },
      lived < SHORT_LIFE ? place.pause : 0,
    );
    this.#timers.add(timer);
  }

  #replace(index: number): void {
    const place = this.#places[index]!;
    this.#retired = sum([this.#retired, place.thread.stats()]);
    const thread = this.#startThread(index);
    place.thread = thread;
    const serve = async () => {
      await thread.ready;
      await this.#introduce();
      for (const service of this.#services.values()) await hostOn(thread, service);
      place.serving = true;
      place.replaced = null;
      place.onReplaced?.();
    };
    // Its end reports the error, and tries again.
    serve().catch(() => thread.terminate());
  }

  async #update(service: Service, data: unknown): Promise<void> {
    service.data = data;
    const { id } = service;
    // A thread that is not ready has not been asked to host anything.
    const ready = this.#places.filter(({ thread }) => thread.token !== undefined);
    await Promise.all(
      ready.map(async (place) => {
        const { thread } = place;
        try {
          await thread.unlessHung(thread.ask({ ask: 'update', service: id, data }));
        } catch (error) {
          // One that is lost is replaced by one that starts with the new data.
          if (place.thread === thread && place.replaced === null) throw error;
        }
      }),
    );
  }

  /** Posts a socket to the thread with the fewest sessions; when none can take it, it waits. */
  #give(service: number, handle: number): void {
    if (this.#stopping || !this.#services.has(service)) {
      this.#close(handle);
      return;
    }
    for (const { thread } of this.#byLoad()) {
      if (thread.give(service, handle)) return;
    }
    if (this.#waiting.length === MOST_WAITING) {
      this.#close(handle);
      return;
    }
    this.#waiting.push([service, handle]);
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      for (const [id, waiting] of this.#waiting.splice(0)) this.#give(id, waiting);
    }, RETRY);
  }

  #sessionsOf(service: number): number {
    const waiting = this.#waiting.filter(([id]) => id === service).length;
    return this.#places.reduce((total, { thread }) => total + thread.sessionsOf(service), waiting);
  }

  /** Tells every thread how to post to the others. */
  async #introduce(): Promise<void> {
    const peers: [number, PortToken][] = [[0, this.#options.token]];
    const threads = this.#places.map(({ thread }) => thread).filter(({ token }) => token !== undefined);
    for (const { index, token } of threads) peers.push([threadIndexOf(index), token!]);
    // One that is lost meanwhile has no need to know; one that does not run learns of it when it runs again.
    await Promise.allSettled(threads.map((thread) => thread.unlessHung(thread.ask({ ask: 'meet', peers }))));
  }

  #look(): void {
    for (const { thread } of this.#places) {
      if (thread.look()) this.#options.onHung(thread.index, (LOOKS_IN_VAIN * LOOK) / 1000);
    }
  }

  /** The places that serve and run, the least loaded first. */
  #byLoad(): Place[] {
    return this.#places
      .filter(({ serving, thread }) => serving && !thread.hung)
      .sort((a, b) => a.thread.load - b.thread.load);
  }

  /** Waits until there is a thread, or one that is on its way. */
  async #someThread(): Promise<void> {
    const replacements = this.#places.flatMap(({ replaced }) => replaced ?? []);
    if (replacements.length < this.#places.length) return;
    const waiting = new AbortController();
    const late = sleep(LONGEST_PAUSE, undefined, { signal: waiting.signal }).catch(() => {});
    await Promise.race([...replacements, late]);
    waiting.abort();
  }

  /** Has a place host a service that does not run now. */
  #hostLate(place: Place, service: Service): void {
    const { thread } = place;
    place.serving = false;
    thread.host(service.id, service.module, service.data, service.first).then(
      () => {
        if (place.thread === thread) place.serving = true;
      },
      () => thread.terminate(),
    );
  }

  async #endService(id: number, grace: number, places: readonly (Place | undefined)[] = this.#places): Promise<void> {
    this.#services.delete(id);
    // A thread that is terminated for it is told of by its loss.
    await Promise.allSettled(places.map((place) => place?.thread.endService(id, grace)));
  }

  #close(handle: number): void {
    closeHandle(this.#options.core.backend!, handle);
  }
}

/** A module that all threads host. */
export interface WorkerService {
  /** The value that the first thread's `start` gave. */
  readonly first: unknown;
  /** Its sessions in all threads, and the sockets that are on their way to one. */
  sessions(): number;
  /** Hands a detached socket to the thread with the fewest sessions. */
  give(handle: number): void;
  /**
   * Replaces its data, in every thread. Rejects with the error of a thread that cannot use it, and with ETIMEDOUT if a thread does
   * not run: that one gets the data when it runs again.
   */
  update(data: unknown): Promise<void>;
  /** Ends it in every thread. */
  stop(grace: number): Promise<void>;
}

function hostOn(thread: WorkerThread, { id, module, data, first }: Service): Promise<unknown> {
  return thread.unlessHung(thread.host(id, module, data, first));
}

function noneRuns(): IocpError {
  return new IocpError('host a module', 'no worker thread runs', 'ETIMEDOUT', 'postMessage');
}
