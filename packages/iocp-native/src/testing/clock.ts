// Virtual time: future calls, in order of their moments, and a clock that jumps from one moment to the next. Between two of
// them all promises settle, so that async code runs as it does under the event loop.

/** Something that will happen. */
class Task {
  readonly at: number;
  readonly order: number;
  /** Null when it has been canceled, or has run. */
  run: (() => void) | null;

  constructor(at: number, order: number, run: () => void) {
    this.at = at;
    this.order = order;
    this.run = run;
  }

  isBefore(other: Task): boolean {
    return this.at < other.at || (this.at === other.at && this.order < other.order);
  }
}

/** Milliseconds that a turn of the event loop takes here: time goes on, even where nothing waits. */
const TURN = 0.001;

/** The clock of a simulation, with the functions of Node that a core needs of it. Moments are milliseconds since its start. */
export class VirtualClock {
  // heap[i] is no later than heap[2i + 1] and heap[2i + 2].
  readonly #heap: Task[] = [];
  #now = 0;
  #tasks = 0;
  /** Tasks that have run: how much work there was. */
  steps = 0;

  /** Milliseconds since the simulation began. */
  now(): number {
    return this.#now;
  }

  /**
   * Calls `run` in `delay` milliseconds; at equal moments the first that was set comes first. Gives a handle for clearTimeout().
   */
  setTimeout(run: () => void, delay: number): unknown {
    return this.schedule(run, this.#now + Math.max(0, delay));
  }

  /** The same, at a moment. */
  schedule(run: () => void, at: number): unknown {
    const task = new Task(at, this.#tasks++, run);
    this.#push(task);
    return task;
  }

  /** Harmless for a call that has run, and for one that was never set. */
  clearTimeout(task: unknown): void {
    if (task instanceof Task) task.run = null;
  }

  /** Calls `run` in 0.001 ms, the time of a turn of the event loop here. */
  setImmediate(run: () => void): void {
    this.setTimeout(run, TURN);
  }

  /** Nothing to do: ticks and promises run between two steps, and one step is a callback of the event loop. */
  runTicks(): void {}

  /** Runs the next call, if that is no later than `until`. False when there is nothing. */
  step(until: number): boolean {
    for (let task = this.#heap[0]; task !== undefined && task.at <= until; task = this.#heap[0]) {
      this.#pop();
      const { run } = task;
      if (run === null) continue;
      task.run = null;
      this.#now = task.at;
      this.steps++;
      run();
      return true;
    }
    return false;
  }

  /** Time goes on to this moment, unless it has passed. */
  advance(until: number): void {
    this.#now = Math.max(this.#now, until);
  }

  #push(task: Task): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!task.isBefore(heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = task;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const { length } = heap;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && heap[child + 1]!.isBefore(heap[child]!)) child++;
      if (!heap[child]!.isBefore(last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

/** Resolves when every promise that can settle now has settled. */
export function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
