// A gate before a kernel's handle that several threads use. The handle is a number that the system uses anew once it is
// closed: so the gate closes first, in shared memory, and its owner waits for the threads that are inside.

const CLOSED = 0;
/** Threads that are inside. */
const INSIDE = 1;
/** close() waits so often, for so many milliseconds, without any thread leaving: one that was terminated inside never does. */
const ROUNDS = 10;
const ROUND = 10;

export class Gate {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  get closed(): boolean {
    return Atomics.load(this.#words, CLOSED) !== 0;
  }

  /** False when the gate is closed. Otherwise the handle stays open until leave(). */
  enter(): boolean {
    Atomics.add(this.#words, INSIDE, 1);
    if (!this.closed) return true;
    this.leave();
    return false;
  }

  leave(): void {
    Atomics.sub(this.#words, INSIDE, 1);
    Atomics.notify(this.#words, INSIDE);
  }

  /**
   * No thread enters from now on. Waits until none is inside. `wake` is called in each round of that, with the number of
   * threads that are inside: they may wait for something. False when the gate was closed already.
   */
  close(wake?: (inside: number) => void): boolean {
    const words = this.#words;
    if (Atomics.exchange(words, CLOSED, 1) !== 0) return false;
    let rounds = 0;
    for (
      let inside = Atomics.load(words, INSIDE);
      inside > 0 && rounds < ROUNDS;
      inside = Atomics.load(words, INSIDE)
    ) {
      wake?.(inside);
      if (Atomics.wait(words, INSIDE, inside, ROUND) === 'timed-out') rounds++;
    }
    return true;
  }
}
