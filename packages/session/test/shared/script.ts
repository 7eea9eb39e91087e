// The memory in which the sessions of modules/script.js note what happens, and flags that they wait for.

import { setEnvironmentData } from 'node:worker_threads';
import { until } from '../threads.js';

const WORDS = 4096;
const MOST = 1;
const LENGTH = 2;
const LOG = 3;
const FLAGS = 2048;
/** What a word of the log has until a number is written there. */
const UNWRITTEN = -(2 ** 31);

export class Notes {
  readonly #words = new Int32Array(new SharedArrayBuffer(WORDS * 4));

  /** For the threads that are started from now on. */
  constructor() {
    this.#words.fill(UNWRITTEN, LOG, FLAGS);
    setEnvironmentData('overlapped:shared-test', this.#words.buffer);
  }

  /** The numbers that were noted. One that a thread is about to write is left out. */
  get log(): number[] {
    // Not by slice(), which reads shared memory byte by byte: a number that is written meanwhile came out as a mixture of two.
    const length = Atomics.load(this.#words, LENGTH);
    const log = Array.from({ length }, (_, i) => Atomics.load(this.#words, LOG + i));
    return log.filter((number) => number !== UNWRITTEN);
  }

  /** The most handlers that computed at a time. */
  get most(): number {
    return Atomics.load(this.#words, MOST);
  }

  /** Until a number has been noted. */
  async noted(number: number): Promise<void> {
    await until(() => this.log.includes(number));
  }

  /** Lets those go on that wait for a flag. */
  set(flag: number): void {
    Atomics.store(this.#words, FLAGS + flag, 1);
    Atomics.notify(this.#words, FLAGS + flag);
  }
}
