// Core, the class behind IocpCore: owns a completion port, the memory that its operations use, and its timers; pumps packets to
// the owners of their events. It has public members that only the packages of this repository see.

import assert from 'node:assert';
import { AsyncResource } from 'node:async_hooks';
import { availableParallelism } from 'node:os';
import { inspect } from 'node:util';
import { type ResourceLimits, threadId } from 'node:worker_threads';
import {
  type BackendName,
  type CompletionPacket,
  type CompletionPort,
  createBatch,
  EVENT_SIZE,
  Operation,
  type PortPoster,
  type PortToken,
} from '@overlapped/iocp-native';
import {
  bool,
  type Checks,
  callback,
  checkGrace,
  checkOptions,
  DEFAULT_GRACE,
  leavePosted,
  object,
  shareBlock,
  strideOf,
  text,
  whole,
  wrongType,
} from '@overlapped/iocp-native/internal';
import { BufferPool, type IocpEvent, IocpEventPool, Slab } from '@overlapped/object-pool';
import { BufferWaiters } from './buffer-waiters.js';
import type { CoreStats, ServerStats } from './core-stats.js';
import { DedicatedPump } from './dedicated-pump.js';
import { reportHang, reportLoss, reportStats, warn } from './diagnostics.js';
import { EventQuota } from './event-quota.js';
import { leaveQuietly, sendAtExit } from './exit.js';
import { GuestPump } from './guest-pump.js';
import { type Internals, RECEIVE_BUFFERS, SEND_BUFFERS } from './internals.js';
import type { IocpCore, IocpCoreOptions, SharedSessions } from './iocp-core.js';
import { type CompletionOwner, type Flushable, onCompletion, onFlush, type Stoppable } from './owners.js';
import { FEW, type Pump, surface } from './pump.js';
import { SessionQuota } from './session-quota.js';
import { countersOf, Stat, StatsBlock, sum } from './stats.js';
import { type Clock, thisSystem } from './system.js';
import { assertEmpty, damageOf, watchExit } from './tear-down.js';
import { TimerQueue } from './timers.js';
import { type PostTarget, UserEvent } from './user-events.js';
import { MESSAGE_KEY } from './workers/protocol.js';
import { createControl, MEMORY_SIZE, MOST_BYTES, SharedMessages, threadIndexOf } from './workers/shared-messages.js';
import { type WorkerPoolOptions, WorkerThreads } from './workers/worker-pool.js';

/** Limit of a core's threads. */
const MOST_THREADS = 256;

const CHECKS: Checks<IocpCoreOptions> = {
  backend: text,
  concurrency: whole(1, 4096),
  threads: whole(0, MOST_THREADS),
  resourceLimits: object,
  onWorkerLost: callback,
  maxSessions: whole(1, 500_000),
  dedicated: bool,
  system: object,
  onPost: callback,
};

/** Each session has at most a receive and a send in flight. Listeners share others, and datagram sockets, too. */
const EVENTS_PER_SESSION = 2;
const LISTENER_EVENTS = 8192;
const DATAGRAM_EVENTS = 8192;
const DEFAULT_MAX_SESSIONS = 65536;
/** The limits of a core's work when its thread exits: batches, and packets in each. */
const LAST_ROUNDS = 64;
const LAST_BATCH = 256;

/** The shared sessions of a server, as its core reaches them. */
interface HostedSessions extends SharedSessions {
  /** Sends bytes to the members of a group. Absent where the sessions are the core's own: then they are members as all others. */
  broadcast?(data: Uint8Array, group: string): boolean;
  /** Levels of all of them together, and the statistics of each thread. Absent where the sessions are the core's own. */
  stats?(): { readonly levels: Partial<CoreStats>; readonly threads: readonly CoreStats[] };
}

export class Core implements IocpCore {
  /** The core pumps it: dequeue(), watch() and destroy() are not for others. */
  readonly port: CompletionPort;
  readonly maxSessions: number;
  /** Events for all operations of this port. */
  readonly events: IocpEventPool<CompletionOwner>;
  /** The events that listeners may take. */
  readonly listenerEvents: EventQuota<CompletionOwner>;
  /** The events that datagram sockets may take. */
  readonly datagramEvents: EventQuota<CompletionOwner>;
  /** How many sessions it may have. */
  readonly quota: SessionQuota;
  /** Buffers for bytes that are copied to be sent. Their memory serves later cores. */
  readonly sendBuffers: BufferPool;
  /** Senders that wait for one of those. */
  readonly bufferWaiters: BufferWaiters;
  readonly timers: TimerQueue;
  /** Bytes from the start of a receive buffer to that of the next. */
  readonly receiveStride: number;
  /** Bytes of a receive buffer. */
  readonly receiveSize: number;
  /** A send may keep a receive buffer if at most this many are in use. The others are reserved for receiving. */
  readonly maxKeptReceiveBuffers: number;
  readonly #pump: Pump;
  /** Statistics of this core alone; its thread writes them, any thread may read them. */
  readonly statsBlock: StatsBlock;
  readonly threads: number;
  /** Threads of the shared port, and how many of them run at a time. */
  readonly shared: { readonly threads: number; readonly concurrency: number };
  readonly resourceLimits: ResourceLimits | undefined;
  /** Tells the user that a thread has ended by itself. */
  readonly lostThread: (error: Error, index: number) => void;
  /** The shared sessions of this server, once there are some. */
  sharedSessions: HostedSessions | null = null;
  /** Gets each message that a thread of this server sends, before broadcast() returns or from the pump. */
  onMessage: ((messages: SharedMessages, message: number) => void) | null = null;
  readonly #workerOptions: Pick<WorkerPoolOptions, 'resourceLimits' | 'onLost' | 'onHung' | 'core'>;
  #messages: SharedMessages | undefined;
  /** How a worker thread posts to the other threads of its server, by their thread indexes. */
  #peers: ReadonlyMap<number, PortPoster> = new Map();
  #workers: WorkerThreads | undefined;
  /** Of the threads of the shared port, once they have ended. */
  #retired: readonly CoreStats[] = [];
  readonly #onPost: ((key: number, bytes: number) => void) | undefined;
  readonly #stoppables = new Set<Stoppable>();
  readonly #endReports: () => void;
  // Two lists in turns, which keep their length: a slot is null when it is beyond the count, or done.
  #dirty: (Flushable | null)[] = [];
  #dirtyCount = 0;
  #flushing: (Flushable | null)[] = [];
  #stopped: Promise<void> | undefined;
  #destroyed = false;
  readonly #runTicks: Clock['runTicks'];
  /** onPost runs in this async context, which made the core. */
  readonly #context = new AsyncResource('OverlappedCore');

  constructor(options: IocpCoreOptions = {}, internals: Internals = {}) {
    checkOptions(options, CHECKS);
    const { backend, concurrency, maxSessions = DEFAULT_MAX_SESSIONS, dedicated = false, onPost } = options;
    const { threads = availableParallelism(), resourceLimits, onWorkerLost = warn, system = thisSystem } = options;
    const { receiveBuffers = RECEIVE_BUFFERS, sendBuffers = SEND_BUFFERS } = internals;
    this.lostThread = (error, index) => {
      reportLoss(this, index, error);
      onWorkerLost(error, index);
    };
    this.port = system.openPort({
      receiveBuffers,
      ...(backend && { backend }),
      ...(concurrency !== undefined && { concurrency }),
    });
    this.receiveStride = strideOf(receiveBuffers.size);
    this.receiveSize = receiveBuffers.size;
    this.maxKeptReceiveBuffers = receiveBuffers.count / 2;
    this.timers = new TimerQueue(system.clock);
    this.#runTicks = system.clock.runTicks;
    this.statsBlock = internals.statsBlock ?? new StatsBlock();
    this.#messages = internals.messages;
    this.threads = this.port.native ? threads : 0;
    const slots = concurrency ?? availableParallelism();
    this.shared = { threads: options.threads ?? Math.min(slots * 2, MOST_THREADS), concurrency: slots };
    this.resourceLimits = resourceLimits;
    this.#workerOptions = {
      resourceLimits,
      onLost: (error, index) => this.lostThread(error, index),
      onHung: (index, seconds) => reportHang(this, index, seconds),
      core: { backend: this.port.backend, maxSessions, threads: 0, ...(concurrency !== undefined && { concurrency }) },
    };
    try {
      this.maxSessions = maxSessions;
      const events = maxSessions * EVENTS_PER_SESSION + LISTENER_EVENTS + DATAGRAM_EVENTS;
      this.events = new IocpEventPool(this.port.allocate(Slab.bytesFor(EVENT_SIZE, events), true), events);
      this.listenerEvents = new EventQuota(this.events, LISTENER_EVENTS);
      this.datagramEvents = new EventQuota(this.events, DATAGRAM_EVENTS);
      this.quota = new SessionQuota(maxSessions);
      const { count, size } = sendBuffers;
      this.sendBuffers = new BufferPool(this.port.allocate(Slab.bytesFor(size, count), true), size, count);
      this.bufferWaiters = new BufferWaiters(this.sendBuffers, this.port, this.timers, (waiter) =>
        this.flushSoon(waiter),
      );
      this.#onPost = onPost;
      const target = {
        dispatch: (packet: CompletionPacket) => this.#dispatch(packet),
        flush: () => this.#flush(),
        sleeps: (asleep: boolean) => this.statsBlock.sleeps(asleep),
      };
      this.#endReports = internals.statsBlock ? () => {} : reportStats(this);
      this.#pump = dedicated ? new DedicatedPump(this.port, target) : new GuestPump(this.port, target, system.clock);
      watchExit(this);
      if (system === thisSystem) sendAtExit(this);
    } catch (error) {
      this.port.destroy();
      throw error;
    }
  }

  get backend(): BackendName {
    return this.port.backend;
  }

  post<Payload>(target: PostTarget<Payload>, payload: Payload): void {
    if (typeof target?.onPost !== 'function') throw wrongType('target', 'an object with onPost()', target);
    this.port.post(new UserEvent(target, payload), 0);
  }

  share(): PortToken {
    return this.port.share();
  }

  /** The first call starts them. Asserts that there are some, and that the core does not stop. */
  get workers(): WorkerThreads {
    assert(this.threads > 0 && this.#stopped === undefined, 'a core without worker threads, or one that stops');
    this.#workers ??= new WorkerThreads({
      ...this.#workerOptions,
      threads: this.threads,
      messages: this.#openMessages(),
      token: this.share(),
    });
    return this.#workers;
  }

  /** For a worker's core: how to post to the other threads. */
  meet(peers: ReadonlyMap<number, PortPoster>): void {
    this.#peers = peers;
  }

  /**
   * Sends a message to the `onMessage` of every thread of this server, also of this one, with one copy of its bytes, at
   * most 1 MiB. Those of one thread arrive in order. False, and no thread gets it, when there is no space for it.
   */
  broadcast(bytes: Uint8Array): boolean {
    if (bytes.length > MOST_BYTES) {
      throw new RangeError(`a message has at most ${MOST_BYTES} bytes, not ${bytes.length}`);
    }
    if (this.#destroyed) return false;
    const messages = this.#openMessages();
    const message = messages.publish(bytes);
    if (message < 0) return false;
    for (const [threadIndex, poster] of this.#workers?.posters ?? this.#peers) {
      if (threadIndex === messages.threadIndex) continue;
      if (!messages.retainFor(message, threadIndex)) this.statsBlock.values[Stat.skipped]!++;
      else if (!poster.post(MESSAGE_KEY, messages.ticketOf(message))) messages.releaseFor(message, threadIndex);
    }
    this.onMessage?.(messages, message);
    messages.release(message);
    return true;
  }

  send(id: number, data: Uint8Array | string): boolean {
    return this.sharedSessions?.send(id, data) ?? false;
  }

  tell(id: number, message: Uint8Array | string): boolean {
    return this.sharedSessions?.tell(id, message) ?? false;
  }

  stats(): ServerStats {
    const own = this.statsBlock.read();
    const { threads, retired, hung } = this.#workers?.stats() ?? { threads: [], retired: sum([]), hung: 0 };
    const shared = this.sharedSessions?.stats?.() ?? { levels: {}, threads: this.#retired };
    const workers = [...threads, ...shared.threads];
    return { total: sum([own, retired, shared.levels, ...workers]), own, workers, hungWorkers: hung };
  }

  /** The threads of the shared port have ended: their counters stay. */
  retire(threads: readonly CoreStats[]): void {
    this.#retired = threads.map(countersOf);
  }

  /** Calls `[onFlush]()` once, at the end of this batch, or soon. The caller sees to it that it asks only once. */
  flushSoon(flushable: Flushable): void {
    this.#dirty[this.#dirtyCount++] = flushable;
    this.#pump.wake();
  }

  /**
   * Whether port.sendNow() can be used, and is worth it: few packets came at once. Otherwise sends of several sessions, at the end of
   * the batch, cost less, and the next batch is larger.
   */
  get sendsNow(): boolean {
    return this.#pump.batchSize <= FEW && this.port.sendsDirectly;
  }

  /** Releases a send buffer. If sessions wait for one, the pump flushes the first of them. */
  releaseSendBuffer(buffer: number, owner: object | null = null): void {
    this.sendBuffers.release(buffer, owner);
    if (!this.bufferWaiters.empty) this.#pump.wake();
  }

  /** No send buffer was free: `waiter` is flushed when one is, or when it has waited too long. */
  awaitSendBuffer(waiter: Flushable): void {
    this.bufferWaiters.add(waiter);
  }

  get stopping(): boolean {
    return this.#stopped !== undefined;
  }

  get sessions(): number {
    return this.quota.taken;
  }

  attach(stoppable: Stoppable): void {
    this.#stoppables.add(stoppable);
  }

  detach(stoppable: Stoppable): void {
    this.#stoppables.delete(stoppable);
  }

  stop(grace = DEFAULT_GRACE): Promise<void> {
    checkGrace(grace);
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  toJSON(): object {
    return { backend: this.backend, threads: this.threads, sessions: this.sessions, maxSessions: this.maxSessions };
  }

  /** For `console.log()`. */
  [inspect.custom](): string {
    return `IocpCore ${inspect(this.toJSON())}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(grace: number): Promise<void> {
    const ends: PromiseSettledResult<unknown>[] = [];
    // Something may have been attached while the others were ending.
    while (this.#stoppables.size > 0) {
      const round = [...this.#stoppables];
      this.#stoppables.clear();
      ends.push(...(await Promise.allSettled(round.map((stoppable) => stoppable.stop(grace)))));
    }
    ends.push(...(await Promise.allSettled([this.#workers?.stop(grace)])));
    this.#pump.stop();
    this.#endReports();
    this.timers.close();
    const damage = damageOf(this);
    leaveQuietly(this);
    this.#destroyed = true;
    this.port.destroy();
    this.#publish();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (damage !== null) throw damage;
    assertEmpty(this);
  }

  /**
   * The thread exits: starts postponed work, and goes on with the sends that the kernel has taken, as long as it takes them
   * at once and the work is bounded. No other packet is dispatched.
   */
  sendLastWords(): void {
    const batch = createBatch(LAST_BATCH);
    for (let round = 0; round < LAST_ROUNDS && !this.#destroyed; round++) {
      // The thread may exit in the middle of a flush.
      const waiting = [...this.#flushing, ...this.#dirty.slice(0, this.#dirtyCount)];
      this.#flushing = [];
      this.#dirty = [];
      this.#dirtyCount = 0;
      for (const flushable of waiting) quietly(() => flushable?.[onFlush]());
      leavePosted();
      const count = this.port.dequeue(batch, 0);
      for (const packet of batch.slice(0, count)) {
        if (packet.operation === Operation.Send) quietly(() => this.#dispatch(packet));
      }
      if (count === 0 && this.#dirtyCount === 0) return;
    }
  }

  /** False if the packet called no handler. */
  #dispatch(packet: CompletionPacket): unknown {
    const event = packet.event as IocpEvent<CompletionOwner> | null;
    if (event !== null) return event.owner![onCompletion](packet);
    if (packet.operation !== Operation.Post) return (packet.key as CompletionOwner)[onCompletion](packet);
    if (packet.key instanceof UserEvent) packet.key.deliver();
    else if (packet.key === MESSAGE_KEY) this.#receiveMessage(packet.bytes);
    else if (this.#onPost) this.#context.runInAsyncScope(this.#onPost, undefined, packet.key as number, packet.bytes);
    return true;
  }

  #receiveMessage(ticket: number): void {
    const messages = this.#openMessages();
    const message = messages.accept(ticket);
    if (message < 0) return;
    this.onMessage?.(messages, message);
    messages.release(message);
  }

  #openMessages(): SharedMessages {
    if (this.#messages === undefined) {
      const control = createControl(threadIndexOf(this.threads));
      const block = this.port.allocate(MEMORY_SIZE, true);
      shareBlock(block);
      this.#messages = new SharedMessages(control, block, 0, threadId);
    }
    return this.#messages;
  }

  #flush(): boolean {
    if (this.#destroyed) return false;
    this.#publish();
    if (!this.bufferWaiters.empty) this.bufferWaiters.advance();
    const count = this.#dirtyCount;
    if (count === 0) return false;
    const list = this.#dirty;
    // A request during the flush waits for the next flush.
    this.#dirty = this.#flushing;
    this.#dirtyCount = 0;
    this.#flushing = list;
    let done = 0;
    try {
      while (done < count && !this.#destroyed) {
        const flushable = list[done]!;
        list[done++] = null;
        this.#flushOne(flushable);
      }
    } finally {
      // A tick may have thrown, or stopped the core.
      for (; done < count; done++) {
        if (!this.#destroyed) this.#dirty[this.#dirtyCount++] = list[done]!;
        list[done] = null;
      }
    }
    // A waiter may have closed before its flush. Then its buffer is free for the next waiter.
    return this.#dirtyCount > 0 || this.bufferWaiters.canAdvance;
  }

  #flushOne(flushable: Flushable): void {
    let called: unknown;
    try {
      called = flushable[onFlush]();
    } catch (error) {
      surface(error);
    }
    if (called !== false) this.#runTicks?.();
  }

  /** Copies the counters of other objects to the stats block: once a batch, so that a packet does not pay for it. */
  #publish(): void {
    const { values } = this.statsBlock;
    const { stats } = this.port;
    this.statsBlock.turn();
    values[Stat.sessions] = this.quota.taken;
    values[Stat.events] = this.events.out;
    values[Stat.receiveBuffers] = stats.buffersOut;
    values[Stat.sendBuffers] = this.sendBuffers.out + this.bufferWaiters.overflowOut;
    values[Stat.timers] = this.timers.size;
    values[Stat.packets] = stats.packets;
    values[Stat.wakeUps] = stats.wakeUps;
    values[Stat.dispatchSeconds] = this.#pump.dispatchSeconds;
    values[Stat.lateTimers] = this.timers.late;
    values[Stat.droppedPackets] = stats.dropped;
    values[Stat.starved] = stats.starved;
  }
}

/** Nothing is left that could be told of an error. */
function quietly(act: () => unknown): void {
  try {
    act();
  } catch {}
}
