// Packets posted from other threads, in shared memory, for kernels that do not keep such a queue themselves.
// Many producers, one consumer. Layout, in 32-bit words:
//
//   0: lock   1: tail (producers)   2: head (consumer)   3: closed   4: signalled   5: unused
//   6...: CAPACITY pairs of key and bytes
//
// The lock is a SharedLock: a thread that is terminated in the middle of a push holds it until recover() is called. It is held
// for a moment, at most a wake-up call. The consumer needs no lock: only it moves the head, and the tail is published after the
// pair.
//
// `signalled` is set from the first post that wakes the consumer until that acknowledges, before it looks for posts: posts
// in between need no wake-up of their own, as the one that is on its way will find them.

import type { PortToken } from '../contract/port.js';
import { SharedLock } from './shared-lock.js';

const CAPACITY = 4096;
const LOCK = 0;
const TAIL = 1;
const HEAD = 2;
const CLOSED = 3;
const SIGNALLED = 4;
const PAIRS = 6;
/** Milliseconds after which a push gives up, and a close goes on. A holder that lives may have been off its processor. */
const PUSH_PATIENCE = 100;
const CLOSE_PATIENCE = 1000;

export class PostedQueue {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #lock: SharedLock;
  /** Packets that the consumer has read and not let go. */
  #read = 0;

  /** A new queue, or a view of one that another thread made. */
  constructor(memory = new SharedArrayBuffer((PAIRS + CAPACITY * 2) * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#lock = new SharedLock(this.#words, LOCK);
  }

  /**
   * From any thread. False when the queue is full or closed, or a thread that has ended holds its lock. `wake` runs before
   * the lock is given up: once close() has returned no thread is about to wake a consumer that is gone (whose descriptor may
   * belong to another object by then).
   */
  push(key: number, bytes: number, wake?: () => void): boolean {
    const words = this.#words;
    if (!this.#lock.lock(PUSH_PATIENCE)) return false;
    const tail = words[TAIL]!;
    const accepted = Atomics.load(words, CLOSED) === 0 && ((tail - Atomics.load(words, HEAD)) | 0) < CAPACITY;
    if (accepted) {
      const at = PAIRS + (tail & (CAPACITY - 1)) * 2;
      words[at] = key;
      words[at + 1] = bytes;
      Atomics.store(words, TAIL, (tail + 1) | 0);
    }
    try {
      if (accepted && wake && Atomics.exchange(words, SIGNALLED, 1) === 0) wake();
    } finally {
      this.#lock.unlock();
    }
    return accepted;
  }

  /** Packets that the consumer has not read. The consumer's thread only, as are the rest but recover(). */
  get length(): number {
    return (Atomics.load(this.#words, TAIL) - this.#words[HEAD]! - this.#read) | 0;
  }

  /** The consumer has been woken, and is about to look for posts: later ones wake it anew. */
  acknowledge(): void {
    Atomics.store(this.#words, SIGNALLED, 0);
  }

  /** Reads the oldest packet that has not been read, and leaves it in the queue. False when there is none. */
  read(take: (key: number, bytes: number) => void): boolean {
    if (this.length === 0) return false;
    const words = this.#words;
    const at = PAIRS + ((words[HEAD]! + this.#read++) & (CAPACITY - 1)) * 2;
    take(words[at]! >>> 0, words[at + 1]! >>> 0);
    return true;
  }

  /** Lets the oldest packet go, which has been read. */
  drop(): void {
    this.#read--;
    Atomics.store(this.#words, HEAD, (this.#words[HEAD]! + 1) | 0);
  }

  /** Reads the oldest packet and lets it go. False when the queue is empty. */
  shift(take: (key: number, bytes: number) => void): boolean {
    const taken = this.read(take);
    if (taken) this.drop();
    return taken;
  }

  /** From now on push() says no. */
  close(): void {
    const locked = this.#lock.lock(CLOSE_PATIENCE);
    Atomics.store(this.#words, CLOSED, 1);
    if (locked) this.#lock.unlock();
  }

  /**
   * From any thread, about a producer that has ended: if that holds the lock, frees it, and wakes the consumer, as the
   * producer may not have come to do.
   */
  recover(thread: number, wake: () => void): void {
    if (!this.#lock.inherit(thread)) return;
    try {
      if (Atomics.load(this.#words, CLOSED) === 0) wake();
    } finally {
      this.#lock.unlock();
    }
  }
}

/** Closes the queue behind a token, whose consumer has ended, and gives the packets left in it. */
export function closePostedQueue(token: PortToken, left: (key: number, bytes: number) => void): void {
  if (token.queue === null) return;
  const queue = new PostedQueue(token.queue);
  queue.close();
  while (queue.shift(left));
}
