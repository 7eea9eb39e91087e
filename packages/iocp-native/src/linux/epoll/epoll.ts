// The epoll(7) of a port: which descriptors it watches, and the events that it gives. Sockets are edge-triggered: an event
// says that something has changed since the last one, so a socket costs one epoll_ctl() in its life, and one that is not read
// causes no more events. So the driver remembers that there is more to read (EpollSocket.readable).

import { disown, Owned, own } from '../../native/ledger.js';
import type { NativeBlock } from '../../native/memory.js';
import { bindCalls, type Calls } from '../calls.js';
import { EINTR, linuxError } from '../errors.js';
import { EPOLL, EPOLL_EVENT } from '../layout.js';
import { check, close, epoll_create1, epoll_ctl, errno } from '../libc.js';

/** Events that one call gives. */
const MOST = 256;
/** Bytes of memory for them. */
export const EVENTS_SIZE = MOST * EPOLL_EVENT.size;
/** Words from one event to the next, and where in an event its data starts. */
export const EVENT_WORDS = EPOLL_EVENT.size >> 2;
export const DATA_WORD = EPOLL_EVENT.data >> 2;
/** The first word of data of a descriptor that is no socket: no slot has this number. */
export const NOT_A_SOCKET = 0xffffffff;

export class Epoll {
  /** The events of the last wait(), EVENT_WORDS words each: flags, then at DATA_WORD the two words of data. */
  readonly words: Uint32Array;
  readonly #fd: number;
  readonly #address: number;
  readonly #calls: Calls;
  readonly #change = Buffer.alloc(EPOLL_EVENT.size);
  /** Events that look() has taken, and that wait() has not given yet. */
  #held = 0;

  /** @param block hidden memory of at least EVENTS_SIZE bytes. Throws an IocpError. */
  constructor(block: NativeBlock) {
    this.#calls = bindCalls();
    this.words = block.words;
    this.#address = block.address;
    this.#fd = check(epoll_create1(EPOLL.CLOEXEC), 'open a port', 'epoll_create1');
    own(Owned.Handle, this.#fd);
  }

  /** It is readable while it has events. */
  get descriptor(): number {
    return this.#fd;
  }

  /** Watches a descriptor for `flags`; its events bring the two words. Gives an errno, or 0. */
  add(fd: number, flags: number, low: number, high: number): number {
    return this.#control(EPOLL.CTL_ADD, fd, flags, low, high);
  }

  /** The same for a descriptor that is watched already. */
  modify(fd: number, flags: number, low: number, high: number): number {
    return this.#control(EPOLL.CTL_MOD, fd, flags, low, high);
  }

  /** Watches a descriptor no longer. Closing it does that, too. Gives an errno, or 0. */
  remove(fd: number): number {
    return this.#control(EPOLL.CTL_DEL, fd, 0, 0, 0);
  }

  /** Takes up to `most` events, and waits up to `timeout` milliseconds (-1: for ever) for the first. Gives their number. */
  wait(most: number, timeout: number): number {
    const held = this.#held;
    if (held === 0) return this.#take(Math.min(most, MOST), timeout);
    this.#held = 0;
    return held;
  }

  /** Whether there are events. They stay for wait(). */
  look(): boolean {
    if (this.#held === 0) this.#held = this.#take(MOST, 0);
    return this.#held > 0;
  }

  close(): void {
    disown(Owned.Handle, this.#fd);
    check(close(this.#fd), 'close a port', 'close');
  }

  #take(most: number, timeout: number): number {
    const count = this.#calls.epoll_wait(this.#fd, this.#address, most, timeout);
    if (count >= 0) return count;
    const code = errno();
    if (code !== EINTR) throw linuxError('wait for packets', 'epoll_wait', code);
    return 0;
  }

  #control(change: number, fd: number, flags: number, low: number, high: number): number {
    const event = this.#change;
    event.writeUInt32LE(flags >>> 0, 0);
    event.writeUInt32LE(low, EPOLL_EVENT.data);
    event.writeUInt32LE(high, EPOLL_EVENT.data + 4);
    return epoll_ctl(this.#fd, change, fd, event) < 0 ? errno() : 0;
  }
}
