// Packets posted from other threads, in shared memory, for kernels that do not keep such a queue themselves.
// Many producers, one consumer. Layout, in 32-bit words:
//
//   0: lock   1: tail (producers)   2: head (consumer)   3: closed   4...: CAPACITY pairs of key and bytes
//
// A producer holds the lock for a moment (at most a wake-up call), so waiting for it is spinning. The consumer needs no lock:
// only it moves the head, and the tail is published after the pair.

const CAPACITY = 4096;
const LOCK = 0;
const TAIL = 1;
const HEAD = 2;
const CLOSED = 3;
const PAIRS = 4;

export class PostedQueue {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  /** A new queue, or a view of one that another thread made. */
  constructor(memory = new SharedArrayBuffer((PAIRS + CAPACITY * 2) * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /**
   * From any thread. False when the queue is full or closed. `wake` runs before the lock is given up: once close()
   * has returned nobody is about to wake a consumer that is gone (whose descriptor may be somebody else's by then).
   */
  push(key: number, bytes: number, wake?: () => void): boolean {
    const words = this.#words;
    this.#lock();
    const tail = words[TAIL]!;
    const accepted = Atomics.load(words, CLOSED) === 0 && ((tail - Atomics.load(words, HEAD)) | 0) < CAPACITY;
    if (accepted) {
      const at = PAIRS + (tail & (CAPACITY - 1)) * 2;
      words[at] = key;
      words[at + 1] = bytes;
      Atomics.store(words, TAIL, (tail + 1) | 0);
    }
    try {
      if (accepted) wake?.();
    } finally {
      Atomics.store(words, LOCK, 0);
    }
    return accepted;
  }

  /** Packets that wait. The consumer's thread only, as are the rest. */
  get length(): number {
    return (Atomics.load(this.#words, TAIL) - this.#words[HEAD]!) | 0;
  }

  /** The oldest packet's key and bytes, through `take`. False when the queue is empty. */
  shift(take: (key: number, bytes: number) => void): boolean {
    const words = this.#words;
    const head = words[HEAD]!;
    if (Atomics.load(words, TAIL) === head) return false;
    const at = PAIRS + (head & (CAPACITY - 1)) * 2;
    const key = words[at]! >>> 0;
    const bytes = words[at + 1]! >>> 0;
    Atomics.store(words, HEAD, (head + 1) | 0);
    take(key, bytes);
    return true;
  }

  /** From now on push() says no. */
  close(): void {
    this.#lock();
    Atomics.store(this.#words, CLOSED, 1);
    Atomics.store(this.#words, LOCK, 0);
  }

  #lock(): void {
    while (Atomics.compareExchange(this.#words, LOCK, 0, 1) !== 0);
  }
}
