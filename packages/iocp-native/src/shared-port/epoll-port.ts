// The shared port of sockets on Linux: one epoll(7) that several threads wait on, with the slots of slot-port.ts. A thread takes a
// slot, then waits in epoll_wait() with room for one event. The kernel wakes the thread that waits there last, and gives the
// oldest event of its ready list. Each socket is watched with EPOLLONESHOT: until it is armed again, no other thread gets it.
//
// Posted packets lie in the shared memory. An eventfd in the same epoll, edge-triggered, wakes one thread for them; a thread
// that takes a posted packet and leaves others wakes the next.

import { bindCalls } from '../linux/calls.js';
import { EAGAIN, ECONNABORTED, EINTR, linuxError } from '../linux/errors.js';
import { EFD_CLOEXEC, EFD_NONBLOCK, EPOLL, EPOLL_EVENT, POLLIN, SOCK_CLOEXEC, SOCK_NONBLOCK } from '../linux/layout.js';
import { bound, check, close, epoll_create1, errno, eventfd, type Native } from '../linux/libc.js';
import { linuxBlocks } from '../linux/memory.js';
import { signal } from '../linux/signals.js';
import { EventLoop } from '../native/event-loop.js';
import { PortMemory, State } from './memory.js';
import { SlotPort } from './slot-port.js';
import { LISTENER, Ready, type SocketPort, WOULD_BLOCK } from './socket-contract.js';

/** The handle for other threads to open the port. It can be sent to a worker as it is. */
export interface EpollPortToken {
  readonly kind: 'epoll';
  readonly memory: SharedArrayBuffer;
  readonly epoll: number;
  readonly bell: number;
}

/** The data of the eventfd's event. No socket's data has this first word. */
const BELL = 0xffffffff;
/** The longest wait in the kernel, in milliseconds: worker.terminate() waits for it. */
const SLICE = 1000;
/** Where in the words of the block the arguments of poll() lie. */
const POLL = 32;

/** A connection is armed for this when its session is to receive: also the peer's end, and an error, are packets. */
const READS = EPOLL.IN | EPOLL.RDHUP;

/** Opens the epoll and the eventfd of a port. Throws an IocpError. @param capacity of the posted packets, a power of two */
export function createEpollPort(concurrency: number, capacity: number): EpollPortToken {
  const { buffer } = PortMemory.create(concurrency, true, capacity);
  const action = 'open a shared port';
  const epoll = check(epoll_create1(EPOLL.CLOEXEC), action, 'epoll_create1');
  const bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (bell < 0) {
    const error = linuxError(action, 'eventfd', errno());
    close(epoll);
    throw error;
  }
  const token = { kind: 'epoll', memory: buffer, epoll, bell } as const;
  const port = new EpollPort(token);
  const failed = port.watchBell();
  port.release();
  if (failed === 0) return token;
  destroyEpollPort(token);
  throw linuxError(action, 'epoll_ctl', failed);
}

/** Closes the descriptors of a port. No thread may use it any more. */
export function destroyEpollPort({ epoll, bell }: EpollPortToken): void {
  close(bell);
  close(epoll);
}

export class EpollPort extends SlotPort implements SocketPort {
  low = 0;
  high = 0;
  ready = 0;
  /** A thread sends itself what waits. */
  readonly sent = 0;
  readonly #epoll: number;
  readonly #bell: number;
  readonly #packet = { key: 0, bytes: 0 };
  readonly #block = linuxBlocks.take(4096, true);
  readonly #words = this.#block.words;
  readonly #wait = bindCalls().epoll_wait;
  readonly #accept4 = bindCalls().accept4;
  readonly #control = bound<[epoll: number, change: number, fd: number, event: number]>(
    'int epoll_ctl(int, int, int, intptr_t)',
  );
  #loop: EventLoop | undefined;
  #poll: Native<[fds: number, count: number, timeout: number]> | undefined;
  /** The last packet was a posted one: the kernel is asked first. */
  #served = false;

  constructor(token: EpollPortToken) {
    super(token.memory);
    this.#epoll = token.epoll;
    this.#bell = token.bell;
  }

  /** Watches the eventfd. Gives an errno, or 0. */
  watchBell(): number {
    return this.#change(EPOLL.CTL_ADD, this.#bell, EPOLL.IN | EPOLL.ET, BELL, BELL);
  }

  listen(fd: number, service: number): number {
    return this.#change(EPOLL.CTL_ADD, fd, EPOLL.IN | EPOLL.ONESHOT, LISTENER, service);
  }

  armListener(fd: number, service: number): number {
    return this.#change(EPOLL.CTL_MOD, fd, EPOLL.IN | EPOLL.ONESHOT, LISTENER, service);
  }

  /** The options are those of the listening socket, which the kernel passes on. */
  accept(listener: number, into: Int32Array): number {
    if (listener < 0) return -WOULD_BLOCK;
    into[0] = this.#accept4(listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (into[0]! >= 0) return into[0]!;
    const code = errno();
    return code === EAGAIN || code === ECONNABORTED ? -WOULD_BLOCK : -code;
  }

  hasBacklog(listener: number): boolean {
    const words = this.#words;
    words[POLL] = listener;
    words[POLL + 1] = POLLIN;
    return this.#pollAll(1, 0) > 0;
  }

  /** It is in the backlog, which has no event until the listening socket is armed. */
  hold(): void {}

  unlisten(): void {}

  add(fd: number, slot: number, generation: number): number {
    return this.#change(EPOLL.CTL_ADD, fd, EPOLL.ONESHOT, slot, generation);
  }

  arm(fd: number, ready: number, slot: number, generation: number): number {
    const flags = (ready & Ready.Write) | ((ready & Ready.Read) !== 0 ? READS : 0) | EPOLL.ONESHOT;
    return this.#change(EPOLL.CTL_MOD, fd, flags, slot, generation);
  }

  /** EPOLLOUT comes at once unless the peer does not read. */
  wake(fd: number, slot: number, generation: number): void {
    this.arm(fd, Ready.Read | Ready.Write, slot, generation);
  }

  /** An event is all that there is: the kernel uses no memory between two calls. */
  done(): void {}

  idle(): boolean {
    return true;
  }

  /** False when the queue is full, the port closed, or the lock a dead thread's for a while. */
  post(key: number, bytes: number): boolean {
    const { memory } = this;
    if (memory.closed || !memory.lock(false)) return false;
    const pushed = memory.push(key, bytes);
    if (pushed) memory.dispatch();
    memory.unlock();
    if (pushed) signal(this.#bell);
    return pushed;
  }

  /** After false the thread counts as running, until it comes back, leave() or waitForLoop(). */
  wait(timeout: number): boolean {
    const { memory } = this;
    if (this.record >= 0 && memory.mayGoOn(this.record) && !memory.shouldLook) {
      if (memory.queued === 0 || this.#served) {
        this.#served = false;
        memory.begin(this.record);
        if (this.#take(0)) return true;
      }
    }
    if (memory.closed || (this.record < 0 && !this.join()) || !memory.lock(true)) return this.#end();
    if (memory.shouldLook) {
      memory.unlock();
      this.look();
      if (!memory.lock(true)) return this.#end();
    }
    const { record } = this;
    const until = timeout > 0 ? performance.now() + timeout : timeout < 0 ? Number.POSITIVE_INFINITY : 0;
    for (let first = true; ; first = false) {
      const left = until === Number.POSITIVE_INFINITY ? SLICE : until === 0 ? 0 : until - performance.now();
      if (left < 0 || (left === 0 && !first)) {
        // A thread that has a slot keeps it: it turns its event loop, and comes back.
        const has = memory.acquire(record);
        if (has) memory.begin(record);
        memory.move(record, has ? State.Running : State.Away);
        memory.dispatch();
        memory.unlock();
        return false;
      }
      if (!memory.acquire(record)) {
        if (left === 0) continue;
        memory.lineUp(record);
        memory.dispatch();
        memory.unlock();
        this.sleep(until);
      } else if (memory.take(record, this.#packet)) {
        const more = memory.queued > 0 && memory.expectsThread;
        memory.dispatch();
        memory.unlock();
        if (more) signal(this.#bell);
        this.#served = true;
        this.low = this.#packet.key;
        this.high = this.#packet.bytes;
        this.ready = 0;
        return true;
      } else {
        memory.move(record, State.Coming);
        memory.dispatch();
        memory.unlock();
        const taken = this.#take(Math.min(SLICE, Math.ceil(left)));
        if (left > 0) this.wakeUps++;
        if (taken) {
          if (!memory.lock(true)) return this.#end();
          memory.begin(record);
          memory.move(record, State.Running);
          memory.dispatch();
          memory.unlock();
          return true;
        }
      }
      if (memory.closed || !memory.lock(true)) return this.#end();
    }
  }

  /** A turn costs less than the calls that would ask. */
  loopDue(): boolean {
    return true;
  }

  /** Meanwhile the thread holds no slot. When all slots are taken it looks at the event loop alone, for a moment. */
  waitForLoop(): void {
    this.leave();
    this.#loop ??= new EventLoop();
    const least = this.#loop.timeout();
    const timeout = least < 0 ? SLICE : Math.min(least, SLICE);
    const full = this.memory.full;
    const words = this.#words;
    // Two of struct pollfd: the descriptor, then the events asked for and those that came, 16 bits each.
    words[POLL] = this.#loop.descriptor;
    words[POLL + 1] = POLLIN;
    words[POLL + 2] = this.#epoll;
    words[POLL + 3] = POLLIN;
    const ready = this.#pollAll(full ? 1 : 2, full ? Math.min(timeout, 1) : timeout);
    if (ready < 0 && errno() !== EINTR) throw linuxError('wait on a shared port', 'poll', errno());
  }

  override close(): void {
    super.close();
    signal(this.#bell);
  }

  release(): void {
    linuxBlocks.give(this.#block);
  }

  /** Calls poll() for the first `count` of the descriptors at POLL. */
  #pollAll(count: number, timeout: number): number {
    this.#poll ??= bound('int poll(intptr_t, unsigned long, int)');
    return this.#poll(this.#block.address + POLL * 4, count, timeout);
  }

  /** The port is closed: the next thread that waits in the kernel learns of it. */
  #end(): false {
    signal(this.#bell);
    this.ended();
    return false;
  }

  /** Takes the oldest event of the kernel. False when there was none but the bell's. */
  #take(timeout: number): boolean {
    const count = this.#wait(this.#epoll, this.#block.address, 1, timeout);
    if (count < 0) {
      const code = errno();
      if (code === EINTR) return false;
      throw linuxError('wait on a shared port', 'epoll_wait', code);
    }
    if (count === 0) return false;
    const words = this.#words;
    const flags = words[0]!;
    this.ready = (flags & Ready.Write) | ((flags & ~Ready.Write) !== 0 ? Ready.Read : 0);
    this.low = words[EPOLL_EVENT.data >> 2]!;
    this.high = words[(EPOLL_EVENT.data >> 2) + 1]!;
    return this.low !== BELL;
  }

  #change(change: number, fd: number, flags: number, low: number, high: number): number {
    // Behind the event of epoll_wait().
    const at = 16;
    const words = this.#words;
    words[at] = flags;
    words[at + (EPOLL_EVENT.data >> 2)] = low;
    words[at + (EPOLL_EVENT.data >> 2) + 1] = high;
    return this.#control(this.#epoll, change, fd, this.#block.address + at * 4) < 0 ? errno() : 0;
  }
}
