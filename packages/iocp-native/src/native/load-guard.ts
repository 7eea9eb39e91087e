// koffi makes JavaScript values when it loads a library, binds a function, registers a callback, or makes a view of native memory or a
// poll handle. In a thread that is being terminated V8 makes none, and koffi then ends the whole process. So a thread that another one
// may terminate writes to shared memory when such a step begins and when it is done, and the thread that would terminate it waits:
// terminate() of its core, and the end of the process, by process.exit() or an uncaught exception.
//
//   FREE <-> LOADING      by the thread itself
//   FREE --> FORBIDDEN    by the thread that terminates it next

const FREE = 0;
const LOADING = 1;
const FORBIDDEN = 2;

/** Milliseconds that the end of the process waits. */
const PATIENCE = 2000;

/** Of the threads that this one has started and that live. */
const guards = new Set<LoadGuard>();
let watching = false;

/** This thread's own; null where only the end of the process ends the thread. */
let own: LoadGuard | null = null;
let depth = 0;

/** Of one thread. */
export class LoadGuard {
  readonly memory: SharedArrayBuffer;
  readonly #word: Int32Array;

  constructor(memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#word = new Int32Array(memory);
  }

  /** By the thread: it loads until done(). Does not return if the thread is about to be terminated. */
  begin(): void {
    while (Atomics.compareExchange(this.#word, 0, FREE, LOADING) !== FREE) Atomics.wait(this.#word, 0, FORBIDDEN);
  }

  /** By the thread. */
  done(): void {
    Atomics.store(this.#word, 0, FREE);
    Atomics.notify(this.#word, 0);
  }

  /** By the one that is about to terminate the thread. False while the thread loads; else it loads nothing any more. */
  forbid(): boolean {
    return Atomics.compareExchange(this.#word, 0, FREE, FORBIDDEN) !== LOADING;
  }

  /** Blocks until the thread may be terminated, for so many milliseconds at most. */
  await(milliseconds: number): void {
    const until = performance.now() + milliseconds;
    // It may begin to load again before this thread has seen the end of the last time.
    while (!this.forbid() && performance.now() < until) Atomics.wait(this.#word, 0, LOADING, until - performance.now());
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

/** From now on guarded() marks the steps of this thread in the memory of a LoadGuard. To be called before it loads anything. */
export function keepGuard(memory: SharedArrayBuffer): void {
  own = new LoadGuard(memory);
}

/** Whether the terminator of this thread waits for its steps. */
export const hasGuard = (): boolean => own !== null;

/** Runs a step in which koffi makes JavaScript values: this thread is not terminated meanwhile. Steps may lie within each other. */
export function guarded<T>(step: () => T): T {
  if (own === null) return step();
  if (depth++ === 0) own.begin();
  try {
    return step();
  } finally {
    if (--depth === 0) own.done();
  }
}
