// The shared port of sockets on Linux: one epoll(7) that several threads wait on, with the slots of slot-port.ts. A thread takes a
// slot, then waits in epoll_wait() with room for one event. The kernel wakes the thread that waits there last, and gives the
// oldest event of its ready list. Each socket is watched with EPOLLONESHOT: until it is armed again, no other thread gets it.
//
// Posted packets lie in the shared memory. An eventfd in the same epoll, edge-triggered, wakes one thread for them; a thread
// that takes a posted packet and leaves others wakes the next.

import { bindCalls } from '../linux/calls.js';
import { EINTR, linuxError } from '../linux/errors.js';
import { EFD_CLOEXEC, EFD_NONBLOCK, EPOLL, EPOLL_EVENT, POLLIN } from '../linux/layout.js';
import { bound, check, close, epoll_create1, errno, eventfd, type Native } from '../linux/libc.js';
import { linuxBlocks } from '../linux/memory.js';
import { signal } from '../linux/signals.js';
import { EventLoop } from '../native/event-loop.js';
import { PortMemory, State } from './memory.js';
import { SlotPort } from './slot-port.js';

/** What other threads need to open a port of sockets. It can be sent to a worker as it is. */
export interface SocketPortToken {
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

/** Opens the epoll and the eventfd of a port. Throws an IocpError. @param capacity of the posted packets, a power of two */
export function createSocketPort(concurrency: number, capacity: number): SocketPortToken {
  const { buffer } = PortMemory.create(concurrency, true, capacity);
  const action = 'open a shared port';
  const epoll = check(epoll_create1(EPOLL.CLOEXEC), action, 'epoll_create1');
  const bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (bell < 0) {
    const error = linuxError(action, 'eventfd', errno());
    close(epoll);
    throw error;
  }
  const token = { memory: buffer, epoll, bell };
  const port = new SocketPort(token);
  const failed = port.watch(bell, EPOLL.IN | EPOLL.ET, BELL, BELL);
  port.release();
  if (failed === 0) return token;
  destroySocketPort(token);
  throw linuxError(action, 'epoll_ctl', failed);
}

/** Closes the descriptors of a port. No thread may use it any more. */
export function destroySocketPort({ epoll, bell }: SocketPortToken): void {
  close(bell);
  close(epoll);
}

export class SocketPort extends SlotPort {
  /** The two words of data of the socket whose event wait() took, and the event's flags; or of a posted packet, and 0. */
  low = 0;
  high = 0;
  flags = 0;
  readonly #epoll: number;
  readonly #bell: number;
  readonly #packet = { key: 0, bytes: 0 };
  readonly #block = linuxBlocks.take(4096, true);
  readonly #words = this.#block.words;
  readonly #wait = bindCalls().epoll_wait;
  readonly #control = bound<[epoll: number, change: number, fd: number, event: number]>(
    'int epoll_ctl(int, int, int, intptr_t)',
  );
  #loop: EventLoop | undefined;
  #poll: Native<[fds: number, count: number, timeout: number]> | undefined;
  /** The last packet was a posted one: the kernel is asked first. */
  #served = false;

  constructor(token: SocketPortToken) {
    super(token.memory);
    this.#epoll = token.epoll;
    this.#bell = token.bell;
  }

  /** Watches a socket; its events bring the two words. `low` is not 2^32 - 1. Gives an errno, or 0. */
  watch(fd: number, flags: number, low: number, high: number): number {
    return this.#change(EPOLL.CTL_ADD, fd, flags, low, high);
  }

  /** Arms a socket that is watched. Gives an errno, or 0. */
  arm(fd: number, flags: number, low: number, high: number): number {
    return this.#change(EPOLL.CTL_MOD, fd, flags, low, high);
  }

  /** Watches a descriptor no longer. Closing its last descriptor does that, too. Gives an errno, or 0. */
  unwatch(fd: number): number {
    return this.#change(EPOLL.CTL_DEL, fd, 0, 0, 0);
  }

  /** Queues a packet of two numbers. False when the queue is full, the port closed, or the lock a dead thread's for a while. */
  post(key: number, bytes: number): boolean {
    const { memory } = this;
    if (memory.closed || !memory.lock(false)) return false;
    const pushed = memory.push(key, bytes);
    if (pushed) memory.dispatch();
    memory.unlock();
    if (pushed) signal(this.#bell);
    return pushed;
  }

  /**
   * Ends this thread's work on its last packet, and takes the next. Blocks the thread up to `timeout` milliseconds (0: not at
   * all; -1: for ever). False when there was none in that time, or the port is closed; the thread then counts as running, until
   * it comes back, leave() or waitForLoop(). Throws an IocpError.
   */
  wait(timeout: number): boolean {
    const { memory } = this;
    if (this.record >= 0 && memory.mayGoOn(this.record) && !memory.shouldLook) {
      if (memory.queued === 0 || this.#served) {
        this.#served = false;
        memory.begin(this.record);
        if (this.#take(0)) return true;
      }
    }
    if (memory.closed || !memory.lock(true)) return this.#end();
    if (this.record < 0) this.join();
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
        this.flags = 0;
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

  /**
   * Sleeps until the event loop of this thread has something to do, or a socket has an event, which wait() then takes unless another
   * thread is faster. Meanwhile the thread holds no slot. When all slots are taken it looks at the event loop alone, for a moment.
   */
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
    this.#poll ??= bound('int poll(intptr_t, unsigned long, int)');
    const ready = this.#poll(this.#block.address + POLL * 4, full ? 1 : 2, full ? Math.min(timeout, 1) : timeout);
    if (ready < 0 && errno() !== EINTR) throw linuxError('wait on a shared port', 'poll', errno());
  }

  /** Closes the port for all threads: wait() gives false in each. */
  override close(): void {
    super.close();
    signal(this.#bell);
  }

  /** Gives the memory of this view of the port back. It is not to be used any more. */
  release(): void {
    linuxBlocks.give(this.#block);
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
    this.flags = words[0]!;
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
