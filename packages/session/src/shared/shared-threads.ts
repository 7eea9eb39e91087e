// SharedThreads: the threads of a core's shared port, as the core's own thread sees them. It opens the port and the table, starts
// the threads, puts another one in the place of one that ended, and ends all of it.

import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads';
import { IocpError, type SocketOptions } from '@overlapped/iocp-native';
import {
  closeHandle,
  createLedger,
  createSocketPort,
  destroySocketPort,
  hasThreadEnded,
  LoadGuard,
  landError,
  openSocketPort,
  reap,
  type SharedSockets,
  type SocketPort,
  type SocketPortToken,
  shareBlock,
  startThread,
  threadEntry,
} from '@overlapped/iocp-native/internal';
import type { CoreStats, Stoppable } from '@overlapped/net-core';
import { type Core, StatsBlock } from '@overlapped/net-core/internal';
import { type AcceptLimits, createTokens } from '../accept/accept-filter.js';
import { groupsOf } from '../session/groups.js';
import type { QueueLimitOptions } from '../session/queue-limit.js';
import type { Timeouts } from '../session/timeout-rules.js';
import { clientMemory } from './client-addresses.js';
import { HOST, SharedHost } from './host.js';
import { goOn, recoverThread } from './lost-thread.js';
import { monotonic } from './monotonic.js';
import { HELD_WORDS, Held, type HostedService, type SharedReport, type SharedStart } from './protocol.js';
import { SharedSweep } from './shared-sweep.js';
import {
  Beyond,
  blocksSize,
  createTable,
  Field,
  Flag,
  MOST_SERVICES,
  Reason,
  ServiceField,
  SharedTable,
} from './table.js';

/** Blocks for bytes that wait: 64 MiB of address space. Pages that no block has used take no memory. */
const BLOCKS = 16_384;
/** The queue of posted packets has room for so many of each session, in a power of two. */
const POSTS = 4;
/** Milliseconds between two looks whether sessions or threads are over. */
const LOOK = 5;
/** With `whenFull: 'wait'`: milliseconds until the limits are checked again. */
const CHECK_AGAIN = 20;
/** Milliseconds that the threads get to accept the backlog of a listener that is to close. */
const BACKLOG_PATIENCE = 1000;
/** Milliseconds beyond its grace that a handler gets to return, before its thread is terminated. */
const PATIENCE = 2000;
/** A thread that lived shorter than this, in milliseconds, is replaced after a pause, which doubles each time. */
const SHORT_LIFE = 1000;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 5000;

/** Limits of a listener's sessions. */
export interface SharedLimits {
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly queueLimit: QueueLimitOptions;
  readonly accepts: AcceptLimits;
  readonly allowHalfOpen: boolean;
  /** A broadcast closes sessions that are slow. */
  readonly closesSlow: boolean;
  readonly timeouts: Timeouts;
  /** Milliseconds; Infinity for none. */
  readonly linger: number;
}

/** One thread, and its place. */
interface Place {
  readonly index: number;
  worker: Worker;
  threadId: number;
  port: MessagePort;
  /** Words of Held. */
  readonly held: Int32Array;
  /** Until it has loaded its native code it may not be terminated. */
  guard: LoadGuard;
  /** What its threads count, one after the other. */
  readonly stats: StatsBlock;
  /** It has loaded all modules. Gives the bytes of a session's state, of the last of them. */
  ready: Promise<number>;
  pause: number;
  /** Its thread has ended, and no other is there yet. */
  empty: boolean;
}

const pools = new WeakMap<Core, SharedThreads>();

export class SharedThreads implements Stoppable {
  readonly table: SharedTable;
  readonly host: SharedHost;
  readonly #core: Core;
  readonly #token: SocketPortToken;
  readonly #port: SocketPort;
  readonly #sockets: SharedSockets;
  readonly #places: Place[] = [];
  readonly #services = new Map<number, HostedService>();
  readonly #sweeps = new Map<number, SharedSweep>();
  /** With `whenFull: 'wait'`: when the limits are checked again. */
  readonly #again = new Map<number, NodeJS.Timeout>();
  readonly #ends = new Map<number, Promise<void>>();
  readonly #overs = new Map<number, () => void>();
  /** Calls of open() that wait until a thread has loaded the service. */
  readonly #loading = new Map<number, { resolve(stateSize: number): void; reject(error: unknown): void }>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #wakeAll = () => this.#port.close();
  #stopping = false;

  private constructor(core: Core) {
    this.#core = core;
    const block = core.port.allocate(blocksSize(BLOCKS), true);
    shareBlock(block);
    // The threads of the port, and the core's own.
    const { threads } = core.shared;
    this.table = new SharedTable(createTable(core.maxSessions, BLOCKS, block.address, threads + 1), block, threads);
    const posts = 2 ** Math.ceil(Math.log2(Math.max(4096, core.maxSessions * POSTS)));
    this.#token = createSocketPort({
      concurrency: core.shared.concurrency,
      posts,
      records: core.maxSessions,
      services: MOST_SERVICES,
    });
    const { port, sockets } = openSocketPort(this.#token);
    this.#port = port;
    this.#sockets = sockets;
    this.host = new SharedHost(this.table, port, sockets);
    this.table.stuck = (holder) => this.#seeEnd(holder);
    this.host.statsBlock = core.statsBlock;
    const { host } = this;
    core.sharedSessions = Object.assign(host, { stats: () => this.#stats() });
    // Broadcasts of other threads reach the shared sessions by the core's own thread.
    groupsOf(core);
    core.attach(this);
    // A thread that waits in the kernel would keep the process from its end for a while.
    process.on('exit', this.#wakeAll);
  }

  /** Those of a core; made when it has none. */
  static of(core: Core): SharedThreads {
    let pool = pools.get(core);
    if (pool === undefined) {
      pool = new SharedThreads(core);
      pools.set(core, pool);
    }
    return pool;
  }

  /** Threads that wait on the port. */
  get threads(): number {
    return this.#core.shared.threads;
  }

  /** Open sessions and queued bytes, and the statistics of each thread. */
  #stats(): { levels: Partial<CoreStats>; threads: CoreStats[] } {
    let sessions = 0;
    for (let service = 0; service < MOST_SERVICES; service++) {
      sessions += Atomics.load(this.table.words, this.table.serviceAt(service) + ServiceField.Sessions);
    }
    const threads = this.#places.map(({ stats, threadId, empty }) => ({
      ...stats.read(),
      slots: !empty && this.#port.runs?.(threadId) ? 1 : 0,
    }));
    return { levels: { sessions, bytesQueued: this.table.queuedInAll }, threads };
  }

  /** Loads a module in the threads. Gives the index of its service. Rejects with the error that the module throws. */
  async open(module: string, limits: SharedLimits, options: SocketOptions): Promise<number> {
    const index = this.#freeService();
    const { words } = this.table;
    const at = this.table.serviceAt(index);
    const serial = Atomics.add(words, at + ServiceField.Serial, 1) + 1;
    for (const count of [ServiceField.Accepted, ServiceField.Refused, ServiceField.Failed]) words[at + count] = 0;
    words[at + ServiceField.HighWatermark] = limits.highWatermark;
    words[at + ServiceField.LowWatermark] = limits.lowWatermark;
    const { perSession = 0, inAll = 0, beyond = 'close' } = limits.queueLimit;
    words[at + ServiceField.PerSession] = perSession;
    words[at + ServiceField.InAll] = inAll;
    words[at + ServiceField.Beyond] = Beyond[beyond];
    words[at + ServiceField.HalfOpen] = limits.allowHalfOpen ? 1 : 0;
    words[at + ServiceField.ClosesSlow] = limits.closesSlow ? 1 : 0;
    words[at + ServiceField.Waits] = 0;
    words[at + ServiceField.NoLinger] = limits.linger === 0 ? 1 : 0;
    const { timeouts, linger, accepts } = limits;
    const tokens = accepts.rate ? createTokens(accepts.rate, monotonic()) : null;
    const clients = accepts.proxy ? clientMemory(this.table.token.records) : null;
    const service = { index, serial, module, options, timeouts, accepts, tokens, clients, states: null };
    this.#services.set(index, service);
    try {
      const stateSize = await (this.#places.length === 0 ? this.#startAll() : this.#loadLater(service));
      const states = new SharedArrayBuffer(stateSize * this.table.token.records);
      this.#services.set(index, { ...service, states });
      for (const { port, empty } of this.#places) if (!empty) port.postMessage({ ...service, states });
    } catch (error) {
      this.#services.delete(index);
      throw error;
    }
    const sweeps = Object.keys(timeouts).length > 0 || (linger > 0 && linger < Number.POSITIVE_INFINITY);
    if (sweeps || accepts.proxy) this.#sweeps.set(index, new SharedSweep(this.#core, this.host, index, limits));
    return index;
  }

  /** Has the threads accept the connections of a listening socket, which is the service's from now on. */
  listen(service: number, fd: number): void {
    this.table.words[this.table.serviceAt(service) + ServiceField.Listener] = fd + 1;
    const failed = this.#port.listen(fd, service);
    if (failed !== 0) throw this.#sockets.error('listen', 'listen', failed);
    if (this.#services.get(service)!.accepts.whenFull === 'wait') {
      this.#again.set(
        service,
        setInterval(() => this.#acceptAgain(service), CHECK_AGAIN),
      );
    }
  }

  /** With `whenFull: 'wait'`: the limits may allow another connection now. */
  #acceptAgain(service: number): void {
    const { words } = this.table;
    const waits = this.table.serviceAt(service) + ServiceField.Waits;
    const lock = this.table.serviceLock(service);
    // If another thread holds the lock, the next look does it.
    if (Atomics.load(words, waits) === 0 || !lock.lock(0)) return;
    Atomics.store(words, waits, 0);
    this.host.armListener(service);
    lock.unlock();
  }

  /** Has a function called when a service is over, before another listener may get its index. */
  whenOver(service: number, over: () => void): void {
    this.#overs.set(service, over);
  }

  /** Closes the listening socket of a service, and ends its sessions within `grace` milliseconds. */
  close(service: number, grace: number): Promise<void> {
    if (!this.#services.has(service)) return Promise.resolve();
    let end = this.#ends.get(service);
    if (end === undefined) {
      end = this.#close(service, grace);
      this.#ends.set(service, end);
    }
    return end;
  }

  /** Of all services: called by the core, with the stop() of each listener. */
  async stop(grace: number): Promise<void> {
    await Promise.all([...this.#services.keys()].map((service) => this.close(service, grace)));
    this.#stopping = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const { reject } of this.#loading.values())
      reject(new IocpError('listen', 'the core has been stopped', 'ECANCELED', 'listen'));
    this.#loading.clear();
    this.#port.close();
    const exits = this.#places.filter(({ empty }) => !empty).map(({ worker }) => exited(worker));
    const late = setTimeout(() => {
      for (const place of this.#places) if (!place.empty) void terminate(place);
    }, PATIENCE);
    await Promise.all(exits);
    clearTimeout(late);
    process.off('exit', this.#wakeAll);
    this.#core.sharedSessions = null;
    this.#core.retire(this.#stats().threads);
    pools.delete(this.#core);
    this.#port.release();
    destroySocketPort(this.#token);
    this.#core.detach(this);
  }

  #freeService(): number {
    for (let index = 0; index < MOST_SERVICES; index++) if (!this.#services.has(index)) return index;
    throw new IocpError('listen', `the core has ${MOST_SERVICES} shared listeners already`, 'ENOBUFS', 'listen');
  }

  async #startAll(): Promise<number> {
    for (let index = 0; index < this.#core.shared.threads; index++) {
      const held = new Int32Array(new SharedArrayBuffer(HELD_WORDS * 4));
      const stats = new StatsBlock();
      this.#places.push(this.#start({ index, held, stats, pause: FIRST_PAUSE, empty: true } as unknown as Place));
    }
    try {
      const sizes = await Promise.all(this.#places.map(({ ready }) => ready));
      return sizes[0]!;
    } catch (error) {
      // None of them has begun to serve a session. The next listener starts them anew.
      const places = this.#places.splice(0);
      await Promise.all(places.map(terminate));
      throw error;
    }
  }

  #start(place: Place): Place {
    place.held[Held.Accepted] = -1;
    place.held[Held.Closing] = -1;
    place.held[Held.Thread] = 0;
    const ledger = createLedger();
    const guard = new LoadGuard();
    const { port1, port2 } = new MessageChannel();
    const start: SharedStart = {
      token: this.#token,
      table: this.table.token,
      index: place.index,
      services: [...this.#services.values()],
      port: port2,
      ledger,
      guard: guard.memory,
      held: place.held,
      stats: place.stats.memory,
    };
    const { resourceLimits } = this.#core;
    const worker = startThread(threadEntry('#overlapped/shared-entry', import.meta.url), {
      workerData: start,
      transferList: [port2],
      name: `overlapped-shared-${place.index}`,
      ...(resourceLimits && { resourceLimits }),
    });
    worker.unref();
    guard.watch();
    const { threadId } = worker;
    const born = performance.now();
    Object.assign(place, { worker, threadId, guard, port: port1, empty: false });
    let failure: Error | undefined;
    place.ready = new Promise((resolve, reject) => {
      const hear = (report: SharedReport) => {
        if (report.service !== undefined) this.#loaded(report.service, report);
        else if ('error' in report) reject(landError(report.error));
        else resolve(report.stateSize);
      };
      port1.on('message', hear);
      worker.once('exit', (code) => {
        // The end of a thread may be seen before its last messages.
        for (let last = receiveMessageOnPort(port1); last; last = receiveMessageOnPort(port1)) hear(last.message);
        reject(failure ?? new Error(`a thread ended with exit code ${code}`));
      });
    });
    place.ready.catch(() => {});
    port1.unref();
    worker.once('error', (error) => {
      failure = error instanceof Error ? error : new Error(`a thread threw ${String(error)}`);
    });
    worker.once('exit', (code) => {
      guard.unwatch();
      port1.close();
      place.empty = true;
      this.#recover(place);
      reap(ledger);
      if (this.#stopping || this.#places[place.index] !== place) return;
      this.#core.lostThread(failure ?? new Error(`a thread ended with exit code ${code}`), place.index);
      place.pause = performance.now() - born < SHORT_LIFE ? Math.min(place.pause * 2, LONGEST_PAUSE) : FIRST_PAUSE;
      this.#later(() => this.#start(place), place.pause);
    });
    return place;
  }

  /** A lock of the table cannot be had: its holder may have ended, and the event of that waits behind this call. */
  #seeEnd(threadId: number): void {
    const place = this.#places.find((one) => !one.empty && one.threadId === threadId);
    if (place && hasThreadEnded(place.held[Held.Thread]!)) this.#recover(place);
  }

  /** Takes back the resources of a thread that has ended, and ends the sessions whose turn it had. */
  #recover({ threadId, held }: Place): void {
    const close = (fd: number) => closeHandle(this.#core.backend, fd);
    if (!recoverThread(this.host, threadId, held, this.#services.keys(), close)) this.#later(() => this.#goOn());
    for (const service of this.#loading.keys()) this.#askToLoad(service);
  }

  #goOn(): void {
    if (!goOn(this.host, this.#services.keys())) this.#later(() => this.#goOn());
  }

  #loaded(service: number, report: SharedReport): void {
    const waiting = this.#loading.get(service);
    this.#loading.delete(service);
    if ('error' in report) waiting?.reject(landError(report.error));
    else waiting?.resolve(report.stateSize);
  }

  /** The threads wait in the kernel: each loads the module with the first packet of that service. One loads it now. */
  #loadLater(service: HostedService): Promise<number> {
    for (const { port, empty } of this.#places) if (!empty) port.postMessage(service);
    return new Promise((resolve, reject) => {
      this.#loading.set(service.index, { resolve, reject });
      this.#askToLoad(service.index);
    });
  }

  /** Tries again when the port takes no packet: its queue is full, or a thread is late in its lock. */
  #askToLoad(service: number): void {
    if (!this.#loading.has(service) || this.#port.post(HOST, service)) return;
    this.#later(() => this.#askToLoad(service));
  }

  /** Calls a function after a while, unless all is over by then. */
  #later(act: () => void, delay = LOOK): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delay);
    this.#timers.add(timer);
  }

  async #close(service: number, grace: number): Promise<void> {
    const { table, host } = this;
    const { words } = table;
    const at = table.serviceAt(service);
    const cut = performance.now() + grace;
    await this.#closeListener(service, Math.min(cut, performance.now() + BACKLOG_PATIENCE));
    while (Atomics.load(words, at + ServiceField.Sessions) > 0) {
      const late = performance.now() - cut;
      for (let slot = 0; slot < table.used; slot++) {
        const record = table.at(slot);
        const flags = words[record + Field.Flags]!;
        if (words[record + Field.Service] !== service || (flags & (Flag.Open | Flag.Header)) === 0) continue;
        if (late >= 0 || (flags & Flag.Header) !== 0) host.close(slot, table.idOf(slot), Reason.Destroyed);
        else if ((flags & Flag.Ending) === 0) host.end(slot, table.idOf(slot));
        if (late >= PATIENCE) this.#terminate(words[record + Field.Turn]! - 1);
      }
      await sleep(LOOK);
    }
    this.#sweeps.get(service)?.stop();
    this.#sweeps.delete(service);
    this.#overs.get(service)?.();
    for (const kept of [this.#overs, this.#services, this.#ends]) kept.delete(service);
  }

  /** @param until when connections of the backlog that no thread has taken are reset */
  async #closeListener(service: number, until: number): Promise<void> {
    const { words } = this.table;
    const at = this.table.serviceAt(service);
    const lock = this.table.serviceLock(service);
    clearInterval(this.#again.get(service));
    this.#again.delete(service);
    const listener = words[at + ServiceField.Listener]! - 1;
    const accepts = Atomics.load(words, at + ServiceField.Waits) === 0;
    while (accepts && listener >= 0 && this.#port.hasBacklog(listener) && performance.now() < until) await sleep(1);
    // A thread holds it for one call of accept4().
    while (!lock.lock(0)) await sleep(1);
    const fd = words[at + ServiceField.Listener]! - 1;
    words[at + ServiceField.Listener] = 0;
    if (fd >= 0) closeHandle(this.#core.backend, fd);
    this.#port.unlisten(service);
    lock.unlock();
  }

  /** A handler does not return. */
  #terminate(threadId: number): void {
    const place = this.#places.find((one) => !one.empty && one.threadId === threadId);
    if (place) void terminate(place);
  }
}

/** Terminates a thread. That would end the process while the thread loads native code, so it waits until the code is loaded. */
async function terminate({ worker, guard }: Place): Promise<void> {
  // The threadId of a thread that has ended is -1.
  while (worker.threadId !== -1 && !guard.forbid()) await sleep(1);
  await worker.terminate();
}

function exited(worker: Worker): Promise<unknown> {
  worker.ref();
  return new Promise((resolve) => worker.once('exit', resolve));
}
