// Watching a port from the event loop: one GetQueuedCompletionStatusEx.async at a time, on a thread of Node's pool.
//
// While it waits, it is the port's only waiter: what the kernel queues goes to it. Its entries may lie in memory before
// its callback runs, so dequeue() collects them from there and the order of packets is kept. It waits in slices,
// because process.exit() and worker.terminate() wait for it.

import type { NativeBlock } from '../memory.js';
import { Key } from './engine.js';
import { GetQueuedCompletionStatusEx } from './kernel32.js';
import { OVERLAPPED_ENTRY } from './layout.js';

/** Entries that one call may bring. dequeue() asks for the rest. */
export const ENTRIES = 64;
const ENTRY_WORDS = OVERLAPPED_ENTRY.size >> 2;
/** The word after the entries: how many there are. */
const COUNT = ENTRIES * ENTRY_WORDS;
export const WATCHED_SIZE = (COUNT + 1) * 4;
const NOT_YET = 0xffffffff;
/** Milliseconds of one wait; the short ones share Node's pool, of four threads, when this thread watches many ports. */
const SLICE = 1000;
const SHORT_SLICE = 20;
const LONG_WAITS = 2;
/** Milliseconds until the next look when koffi has no room for a call. */
const RETRY = 10;

const waiting = new Set<Notifier>();
let hooked = false;

export interface Watched {
  readonly port: number;
  wake(): void;
  /** Translates entries that the wait has brought. */
  take(words: Uint32Array, count: number): void;
  /** dequeue() would bring something. */
  hasPackets(): boolean;
}

export class Notifier {
  readonly #watched: Watched;
  readonly #block: NativeBlock;
  #ready: (() => void) | null = null;
  #soon: NodeJS.Immediate | null = null;
  #retry: NodeJS.Timeout | null = null;
  /** The call is out: its callback has not run. */
  #out = false;
  /** ... and its entries have been taken already. */
  #collected = false;
  #waking = false;
  #afterwards: (() => void) | null = null;

  constructor(watched: Watched, block: NativeBlock) {
    this.#watched = watched;
    this.#block = block;
  }

  watch(ready: () => void): void {
    this.unwatch(false);
    this.#ready = ready;
    this.collect();
    if (this.#watched.hasPackets()) this.nudge();
    else this.#wait();
  }

  unwatch(wake = true): void {
    this.#ready = null;
    if (this.#soon) clearImmediate(this.#soon);
    if (this.#retry) clearTimeout(this.#retry);
    this.#soon = null;
    this.#retry = null;
    if (wake) this.#wake();
  }

  /** There are packets in the queue. */
  nudge(): void {
    if (this.#ready === null || this.#soon !== null) return;
    this.#soon = setImmediate(() => {
      this.#soon = null;
      this.#call();
      // Nobody watches any more, so nothing may keep the process alive.
      if (this.#ready === null) this.#wake();
    });
  }

  /** Takes what the wait has brought, if it has ended. True when no wait is in the kernel any more. */
  collect(): boolean {
    if (!this.#out || this.#collected) return true;
    const { words } = this.#block;
    const count = words[COUNT]!;
    if (count === NOT_YET) return false;
    // A wait that timed out may have written a count, and no entries.
    for (let i = 0; i < count; i++) if (words[i * ENTRY_WORDS] === Key.None) return false;
    this.#collected = true;
    this.#watched.take(words, count);
    return true;
  }

  /**
   * Ends the wait, for up to `milliseconds`. True when no wait is in the kernel any more. False also for one that has
   * timed out until its callback has run, which alone learns of it.
   */
  recall(milliseconds: number): boolean {
    if (this.collect()) return true;
    this.#wake();
    const until = performance.now() + milliseconds;
    const nap = new Int32Array(new SharedArrayBuffer(4));
    while (!this.collect()) {
      if (performance.now() >= until) return false;
      Atomics.wait(nap, 0, 0, 1);
    }
    return true;
  }

  /** Calls `done` when the call and its memory are no longer in use: at once, or from its callback. */
  finish(done: () => void): void {
    this.unwatch();
    if (this.#out) this.#afterwards = done;
    else done();
  }

  #wait(): void {
    if (this.#out) return;
    const { words, address } = this.#block;
    clearEntries(this.#block, ENTRIES);
    words[COUNT] = NOT_YET;
    this.#collected = false;
    try {
      const count = address + COUNT * 4;
      const slice = waiting.size < LONG_WAITS ? SLICE : SHORT_SLICE;
      GetQueuedCompletionStatusEx.async(this.#watched.port, address, ENTRIES, count, slice, 0, this.#returned);
    } catch {
      // koffi has no room for one more call of this kind at the moment.
      this.#retry = setTimeout(() => this.#call(), RETRY);
      return;
    }
    this.#out = true;
    waiting.add(this);
    wakeOnExit();
  }

  readonly #returned = (error: Error | null, result: number): void => {
    const collected = this.#collected;
    this.#out = false;
    this.#waking = false;
    waiting.delete(this);
    if (this.#afterwards) {
      this.#afterwards();
      return;
    }
    if (!collected && error === null && result !== 0) this.#watched.take(this.#block.words, this.#block.words[COUNT]!);
    if (this.#ready === null || this.#soon !== null) return;
    if (this.#watched.hasPackets()) this.#call();
    else this.#wait();
  };

  #call(): void {
    const ready = this.#ready;
    this.#ready = null;
    ready?.();
  }

  #wake(): void {
    if (!this.#out || this.#collected || this.#waking) return;
    this.#waking = true;
    this.#watched.wake();
  }

  static wakeAll(): void {
    for (const notifier of waiting) notifier.#wake();
  }
}

/** Marks entries as not written by the kernel. */
export function clearEntries({ words }: NativeBlock, count: number): void {
  for (let i = 0; i < count; i++) words[i * ENTRY_WORDS] = Key.None;
}

function wakeOnExit(): void {
  if (hooked) return;
  hooked = true;
  process.on('exit', Notifier.wakeAll);
}
