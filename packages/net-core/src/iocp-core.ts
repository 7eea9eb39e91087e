// IocpCore: owns a completion port, the memory that its operations use, and its timers; pumps packets to the owners of
// their events.

import {
  type BackendName,
  type CompletionPacket,
  type CompletionPort,
  EVENT_SIZE,
  Operation,
  openPort,
  type PortToken,
} from '@overlapped/iocp-native';
import { BufferPool, type IocpEvent, IocpEventPool } from '@overlapped/object-pool';
import { GuestPump, surface } from './pump.js';
import { TimerQueue } from './timers.js';
import { type PostTarget, UserEvent } from './user-events.js';

/** Who gets the packets of an operation: the owner of its event, or the completion key of its socket. */
export interface CompletionOwner {
  onCompletion(packet: CompletionPacket): void;
}

/** Something that puts work off to the end of the batch. */
export interface Flushable {
  flush(): void;
}

/** Something that lives on a core and must end before the core does. */
export interface Stoppable {
  /** Ends in order; what has not ended after `grace` milliseconds is cut off. */
  stop(grace: number): Promise<void>;
}

export interface IocpCoreOptions {
  /** Default: the best one that is available here. */
  readonly backend?: BackendName;
  /** NumberOfConcurrentThreads of the port. Default: the number of cores. */
  readonly concurrency?: number;
  /** The most sessions at a time; it sizes the event pool. 1 to 500,000; default 65,536. */
  readonly maxSessions?: number;
  /** Gets the numbers that other threads post, through `openPoster(core.share())`. */
  readonly onPost?: (key: number, bytes: number) => void;
}

/** Each session has at most a receive and a send in flight. Listeners share the rest. */
const EVENTS_PER_SESSION = 2;
const LISTENER_EVENTS = 1024;
// Sizes that are no multiple of a page's: the first bytes of different buffers compete for different cache lines.
const RECEIVE_BUFFERS = { count: 1024, size: 8192 + 64 };
const SEND_BUFFERS = 1024;
const SEND_BUFFER_SIZE = 16384 + 64;
const DEFAULT_MAX_SESSIONS = 65536;
const DEFAULT_GRACE = 5000;

/**
 * A completion port with its pump. It belongs to the thread that made it, and keeps the process alive until stop().
 */
export class IocpCore {
  readonly port: CompletionPort;
  readonly maxSessions: number;
  /** Events for all operations of this port. */
  readonly events: IocpEventPool<CompletionOwner>;
  /** Buffers for bytes that are copied to be sent. */
  readonly sendBuffers: BufferPool;
  readonly timers = new TimerQueue();
  /** The bytes that a session is being handed, and the receive buffer that they lie in: a send may keep that one. */
  delivered: Buffer | null = null;
  deliveredBuffer = -1;
  /** Bytes of each receive buffer. */
  readonly receiveBufferSize = RECEIVE_BUFFERS.size;
  /** As long as no more receive buffers than this are out, one may be kept for a send. The rest is for receiving. */
  readonly receiveBuffersToLend = RECEIVE_BUFFERS.count / 2;
  readonly #pump: GuestPump;
  readonly #onPost: ((key: number, bytes: number) => void) | undefined;
  readonly #stoppables = new Set<Stoppable>();
  /** Who waits for a send buffer, the longest wait first. */
  readonly #bufferWaiters = new Set<Flushable>();
  #sessions = 0;
  // Two lists in turns, which keep their length: a slot is null when it is beyond the count, or done.
  #dirty: (Flushable | null)[] = [];
  #dirtyCount = 0;
  #flushing: (Flushable | null)[] = [];
  #stopped: Promise<void> | undefined;

  /**
   * Throws a RangeError for a bad `maxSessions`, or an IocpError: EINVAL for another bad option, ENOTSUP when the backend
   * asked for is not available, ENOMEM.
   */
  constructor(options: IocpCoreOptions = {}) {
    const { backend, concurrency, maxSessions = DEFAULT_MAX_SESSIONS, onPost } = options;
    if (!Number.isInteger(maxSessions) || maxSessions < 1 || maxSessions > 500_000) {
      throw new RangeError(`maxSessions must be a whole number from 1 to 500000, not ${maxSessions}`);
    }
    this.port = openPort({
      receiveBuffers: RECEIVE_BUFFERS,
      ...(backend && { backend }),
      ...(concurrency !== undefined && { concurrency }),
    });
    try {
      this.maxSessions = maxSessions;
      const events = maxSessions * EVENTS_PER_SESSION + LISTENER_EVENTS;
      this.events = new IocpEventPool(this.port.allocate(events * EVENT_SIZE), events);
      const bytes = SEND_BUFFERS * SEND_BUFFER_SIZE;
      this.sendBuffers = new BufferPool(this.port.allocate(bytes), SEND_BUFFER_SIZE, SEND_BUFFERS);
      this.#onPost = onPost;
      this.#pump = new GuestPump(this.port, {
        dispatch: (packet) => this.#dispatch(packet),
        flush: () => this.#flush(),
      });
    } catch (error) {
      this.port.destroy();
      throw error;
    }
  }

  get backend(): BackendName {
    return this.port.backend;
  }

  /** Posts a packet to this core: `target.onPost(payload)` is called from the pump, after what was posted before. */
  post<Payload>(target: PostTarget<Payload>, payload: Payload): void {
    this.port.post(new UserEvent(target, payload), 0);
  }

  /** A token for `openPoster()` in another thread. What is posted there comes to `onPost`. */
  share(): PortToken {
    return this.port.share();
  }

  /** Calls `flush()` once, at the end of this batch, or soon. The caller sees to it that it asks only once. */
  flushSoon(flushable: Flushable): void {
    this.#dirty[this.#dirtyCount++] = flushable;
    this.#pump.wake();
  }

  /** Gives a send buffer back, and flushes those who have waited longest: as many as there are buffers. */
  releaseSendBuffer(buffer: number): void {
    this.sendBuffers.release(buffer);
    if (this.#bufferWaiters.size > 0) this.#pump.wake();
  }

  /** No send buffer was free: flushes when one is. */
  awaitSendBuffer(waiter: Flushable): void {
    this.#bufferWaiters.add(waiter);
  }

  /** Sessions that are open. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Counts a session in. False, and nothing is counted, when there are `maxSessions`. */
  admit(): boolean {
    if (this.#sessions === this.maxSessions) return false;
    this.#sessions++;
    return true;
  }

  /** Counts a session out. */
  dismiss(): void {
    this.#sessions--;
  }

  /** Has `stop()` wait for something; it must be detached when it has ended. */
  attach(stoppable: Stoppable): void {
    this.#stoppables.add(stoppable);
  }

  detach(stoppable: Stoppable): void {
    this.#stoppables.delete(stoppable);
  }

  /**
   * Stops in order: everything attached ends, within `grace` milliseconds (default 5000); then the port closes. What was
   * posted and has not been delivered by then is dropped. Rejects with what went wrong in ending, or with an
   * AssertionError that says which events and buffers have not come back.
   */
  stop(grace = DEFAULT_GRACE): Promise<void> {
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(grace: number): Promise<void> {
    const ends: PromiseSettledResult<void>[] = [];
    // Something may have been attached while the others were ending.
    while (this.#stoppables.size > 0) {
      const round = [...this.#stoppables];
      this.#stoppables.clear();
      ends.push(...(await Promise.allSettled(round.map((stoppable) => stoppable.stop(grace)))));
    }
    this.#pump.stop();
    this.timers.close();
    this.port.destroy();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    this.events.assertEmpty();
    this.sendBuffers.assertEmpty();
  }

  #dispatch(packet: CompletionPacket): void {
    const event = packet.event as IocpEvent<CompletionOwner> | null;
    if (event !== null) event.owner!.onCompletion(packet);
    else if (packet.operation !== Operation.Post) (packet.key as CompletionOwner).onCompletion(packet);
    else if (packet.key instanceof UserEvent) packet.key.deliver();
    else this.#onPost?.(packet.key as number, packet.bytes);
  }

  #flush(): boolean {
    if (this.#bufferWaiters.size > 0) this.#flushBufferWaiters();
    const count = this.#dirtyCount;
    if (count === 0) return false;
    const list = this.#dirty;
    // What asks during the flush waits for the next one.
    this.#dirty = this.#flushing;
    this.#dirtyCount = 0;
    this.#flushing = list;
    for (let i = 0; i < count; i++) {
      const flushable = list[i]!;
      list[i] = null;
      try {
        flushable.flush();
      } catch (error) {
        surface(error);
      }
    }
    // One whose turn it was may have closed meanwhile, and left its buffer to the next in line.
    return this.#dirtyCount > 0 || (this.#bufferWaiters.size > 0 && this.sendBuffers.out < this.sendBuffers.capacity);
  }

  #flushBufferWaiters(): void {
    let free = this.sendBuffers.capacity - this.sendBuffers.out;
    for (const waiter of this.#bufferWaiters) {
      if (free-- <= 0) return;
      this.#bufferWaiters.delete(waiter);
      this.flushSoon(waiter);
    }
  }
}
