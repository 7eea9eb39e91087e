// The log of the lab, in shared memory: the load and the handlers write each step, and the lab's own thread reads them.

import type { Kind } from './messages.js';

/** The name of the environment data that brings the log's memory to the threads. */
export const LOG = 'tour:lab';

/** The log has their places here. */
const KINDS: readonly Kind[] = ['ready', 'sent', 'started', 'blocked', 'resumed', 'done'];

export interface Entry {
  /** Milliseconds, by the clock that all threads share. */
  readonly at: number;
  readonly kind: Kind;
  /** The thread's id. */
  readonly thread: number;
  /** The request's number; 0 for none. */
  readonly request: number;
  /** Of `sent`: 1 if the handler will block, 0 if it will compute. */
  readonly blocking: number;
}

/** Entries that the log holds. A reader that is further behind misses some. */
const CAPACITY = 8192;
const Word = { Written: 0, Entries: 2 } as const;
/** Words of an entry. `At` is the first of two, which are a 64-bit float. */
const Field = { Number: 0, Kind: 1, Thread: 2, Request: 3, Blocking: 4, At: 6 } as const;
const ENTRY = 8;

/** Milliseconds. Each thread has its own performance.now(), but this clock is the system's. */
export function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class Log {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  #read = 0;

  /** One of its own, or another thread's. */
  constructor(buffer = new SharedArrayBuffer((Word.Entries + CAPACITY * ENTRY) * 4)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#floats = new Float64Array(buffer);
  }

  write(kind: Kind, thread: number, request: number, blocking = 0): void {
    const words = this.#words;
    const number = Atomics.add(words, Word.Written, 1);
    const at = Word.Entries + (number % CAPACITY) * ENTRY;
    words[at + Field.Kind] = KINDS.indexOf(kind);
    words[at + Field.Thread] = thread;
    words[at + Field.Request] = request;
    words[at + Field.Blocking] = blocking;
    this.#floats[(at + Field.At) / 2] = clock();
    // The entry is complete now: a reader that sees this number sees the other words.
    Atomics.store(words, at + Field.Number, number + 1);
  }

  /** The entries since the last call, up to the first that is not complete. For one reader. */
  read(): Entry[] {
    const words = this.#words;
    const entries: Entry[] = [];
    const written = Atomics.load(words, Word.Written);
    this.#read = Math.max(this.#read, written - CAPACITY);
    for (; this.#read < written; this.#read++) {
      const at = Word.Entries + (this.#read % CAPACITY) * ENTRY;
      if (Atomics.load(words, at + Field.Number) !== this.#read + 1) break;
      entries.push({
        at: this.#floats[(at + Field.At) / 2]!,
        kind: KINDS[words[at + Field.Kind]!]!,
        thread: words[at + Field.Thread]!,
        request: words[at + Field.Request]!,
        blocking: words[at + Field.Blocking]!,
      });
    }
    return entries;
  }
}
