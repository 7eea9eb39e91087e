// A thread must not be ended while it loads native code: koffi's initialization, when it is cut off, ends the whole process.
// So a worker thread says in shared memory when it begins and when it is done, and the code that would end it waits for that: its
// core's terminate(), and the end of the process, by process.exit() or an uncaught exception.

const NOT_BEGUN = 0;
const LOADING = 1;
const LOADED = 2;
const FORBIDDEN = 3;

/** Milliseconds that the end of the process waits. */
const PATIENCE = 2000;

/** Of the threads that this one has started and that live. */
const guards = new Set<LoadGuard>();
let watching = false;

/** Of one worker thread. */
export class LoadGuard {
  readonly memory: SharedArrayBuffer;
  readonly #word: Int32Array;

  constructor(memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#word = new Int32Array(memory);
  }

  /** By the thread. False when it is about to be ended: then it must load nothing. */
  begin(): boolean {
    return Atomics.compareExchange(this.#word, 0, NOT_BEGUN, LOADING) === NOT_BEGUN;
  }

  /** By the thread: it has loaded its native code. */
  done(): void {
    Atomics.store(this.#word, 0, LOADED);
    Atomics.notify(this.#word, 0);
  }

  /** By the one that is about to end the thread. False while the thread loads; else it may be ended at any time. */
  forbid(): boolean {
    return Atomics.compareExchange(this.#word, 0, NOT_BEGUN, FORBIDDEN) !== LOADING;
  }

  /** Blocks until the thread may be ended, for so many milliseconds at most. */
  await(milliseconds: number): void {
    if (!this.forbid()) Atomics.wait(this.#word, 0, LOADING, milliseconds);
  }

  /** From now on the end of this process, or thread, waits for it. */
  watch(): void {
    guards.add(this);
    if (watching) return;
    watching = true;
    process.on('exit', () => {
      for (const guard of guards) guard.await(PATIENCE);
    });
  }

  /** The thread is no more. */
  unwatch(): void {
    guards.delete(this);
  }
}
