// The shared memory of a shared port: the queue of posted packets, and the state of each thread. Layout, in 32-bit words:
// the header (Word), MAX_THREADS records of one cache line (Field), and pairs of key and bytes, as many as the queue's capacity.
//
// A port of sockets has a second source of packets, the kernel. Its threads take a slot before they wait there, and nothing in
// this memory says whether the kernel has packets. So free slots are filled as long as threads wait for one, and a thread
// watches whenever no thread waits in the kernel.
//
// Everything but close() happens under a lock. The counts in the header follow from the threads' states, and a packet is
// added or taken by one store; so when a thread was terminated inside the lock, counting anew restores order.

import { threadId } from 'node:worker_threads';
import { SharedLock } from '../port/shared-lock.js';
import { Sleep, type ThreadState } from './thread-state.js';

/** Packets that a queue has room for by default. A capacity is a power of two. */
const CAPACITY = 4096;
const MAX_THREADS = 256;

const Word = {
  /** A SharedLock. */
  Lock: 0,
  Tail: 1,
  Head: 2,
  Closed: 3,
  /** The concurrency: how many slots there are. */
  Limit: 4,
  /** Threads that hold a slot. */
  Holders: 5,
  /** Those among them that are about to take a packet. */
  Coming: 6,
  /** Threads in the waiting line. */
  Waiting: 7,
  /** 1 while one of them watches. */
  Watching: 8,
  /** Grows with each thread that lines up. */
  Clock: 9,
  /** Records that were ever in use. */
  Records: 10,
  /** Threads that were seen to be blocked. */
  Blocked: 11,
  /** When a thread last looked at the states of the others, in microseconds. */
  Looked: 12,
  /** 1 where packets also come from the kernel. */
  Sockets: 13,
  /** Packets that the queue has room for. */
  Capacity: 14,
  /** 1 when a thread has ended, and the counts are to be made anew. */
  Recount: 15,
} as const;

const RECORDS = 16;
const RECORD_WORDS = 16;
const PAIRS = RECORDS + MAX_THREADS * RECORD_WORDS;

/** The words of a thread's record. */
export const Field = {
  /** threadId + 1, or 0 for a free record. */
  Thread: 0,
  State: 1,
  /** The clock when it lined up. */
  Since: 2,
  /** The number of the packet that it took last. */
  Packet: 3,
  /** The sources of the thread's state: Stat, Call and Futex are a ThreadState. */
  Stat: 4,
  /** Since when it has been seen asleep, in microseconds; 0 when it was awake when it was last looked at. */
  Asleep: 5,
  Call: 6,
  Futex: 7,
  /** The kind of sleep it was seen in, a Sleep. */
  Sleep: 8,
  /** Times that it lost its slot since it was blocked. */
  Losses: 9,
} as const;

export const State = {
  /** Neither holds a slot nor waits for one. */
  Away: 0,
  /** Works on a packet, but was seen to be blocked and lost its slot. */
  Blocked: 1,
  /** Holds a slot and is about to take a packet. */
  Coming: 2,
  /** Holds a slot and works on a packet. */
  Running: 3,
  Waiting: 4,
  /** Waits, and looks now and then whether a slot's holder is blocked. */
  Watching: 5,
  /** The port was closed. */
  Ended: 6,
} as const;
type State = (typeof State)[keyof typeof State];

/** Milliseconds that a thread waits for the lock before it looks whether the port is closed, and before post() gives up. */
const SLICE = 5;
const PATIENCE = 50;
/** Microseconds that a thread is asleep before it counts as blocked. */
const LONG_SLEEP = 200;
/** The same for a thread that waits for a lock: Sleep.Lock. */
const LONG_LOCK = 100_000;
/** Microseconds between two looks of threads that come back while others are blocked. */
const LOOK = 100;

/** A thread that works on a packet: its threadId plus one, its record, the number of its packet, and the sources of its state. */
export interface Worker extends ThreadState {
  readonly thread: number;
  readonly record: number;
  readonly packet: number;
}

export class PortMemory {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly #lock: SharedLock;
  readonly #thread: number;
  readonly #now: () => number;
  /** The threads to be woken when the lock has been given up: a thread that is woken may take the core of its waker. */
  readonly #toWake: number[] = [];

  /** The port as a thread sees it. @param now a clock of microseconds, in 32 bits, which all threads share */
  constructor(buffer: SharedArrayBuffer, thread = threadId, now = microseconds) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.#thread = thread;
    this.#now = now;
    this.#lock = new SharedLock(this.words, Word.Lock, thread);
  }

  /** @param capacity a power of two */
  static create(concurrency: number, sockets = false, capacity = CAPACITY): PortMemory {
    const memory = new PortMemory(new SharedArrayBuffer((PAIRS + capacity * 2) * 4));
    memory.words[Word.Limit] = concurrency;
    memory.words[Word.Sockets] = sockets ? 1 : 0;
    memory.words[Word.Capacity] = capacity;
    return memory;
  }

  get closed(): boolean {
    return Atomics.load(this.words, Word.Closed) !== 0;
  }

  get queued(): number {
    return (Atomics.load(this.words, Word.Tail) - Atomics.load(this.words, Word.Head)) | 0;
  }

  /** A thread is about to take a packet: there is no need for another one to look out for it. */
  get expectsThread(): boolean {
    return Atomics.load(this.words, Word.Coming) > 0;
  }

  /** No slot is free. */
  get full(): boolean {
    return Atomics.load(this.words, Word.Holders) >= this.words[Word.Limit]!;
  }

  /** Threads in the waiting line, and whether one of them watches. */
  get line(): { readonly waiting: number; readonly watching: boolean } {
    const waiting = Atomics.load(this.words, Word.Waiting);
    return { waiting, watching: Atomics.load(this.words, Word.Watching) > 0 };
  }

  /** False when the port is closed, and when the lock cannot be had in PATIENCE, unless the caller insists. */
  lock(insist: boolean): boolean {
    for (let waited = 0; !this.#lock.lock(SLICE); waited += SLICE) {
      if (this.closed || (!insist && waited >= PATIENCE)) return false;
    }
    return true;
  }

  unlock(): void {
    this.#lock.unlock();
    for (let record = this.#toWake.pop(); record !== undefined; record = this.#toWake.pop()) this.#wake(record);
    // Looked at behind the lock: recover() sets it before it tries the lock.
    if (Atomics.load(this.words, Word.Recount) !== 0 && this.lock(false)) this.#recount();
  }

  // All that follows, but close() and recover(), is for the thread inside the lock.

  /** False when there is no room. */
  push(key: number, bytes: number): boolean {
    const { words } = this;
    const capacity = words[Word.Capacity]!;
    if (this.queued >= capacity) return false;
    const tail = words[Word.Tail]!;
    const at = PAIRS + (tail & (capacity - 1)) * 2;
    words[at] = key;
    words[at + 1] = bytes;
    Atomics.store(words, Word.Tail, (tail + 1) | 0);
    return true;
  }

  /** Moves the oldest packet into `packet`, for the thread of this record. False when there is none. */
  take(record: number, packet: { key: number; bytes: number }): boolean {
    if (this.queued === 0) return false;
    const { words } = this;
    const head = words[Word.Head]!;
    const at = PAIRS + (head & (words[Word.Capacity]! - 1)) * 2;
    packet.key = words[at]! >>> 0;
    packet.bytes = words[at + 1]! >>> 0;
    words[record + Field.Packet] = head;
    words[record + Field.Asleep] = 0;
    this.move(record, State.Running);
    Atomics.store(words, Word.Head, (head + 1) | 0);
    return true;
  }

  /** A port of sockets: the thread of this record works on a packet of the kernel. Needs no lock while it holds a slot. */
  begin(record: number): void {
    const { words } = this;
    words[record + Field.Packet] = (words[record + Field.Packet]! + 1) | 0;
    words[record + Field.Asleep] = 0;
  }

  /** Whether the thread of this record holds a slot, works, and may go on with another packet. Needs no lock. */
  mayGoOn(record: number): boolean {
    const { words } = this;
    return words[record + Field.State] === State.Running && words[Word.Holders]! <= words[Word.Limit]!;
  }

  /** A record for the calling thread; -1 when all are in use. */
  join({ stat, call, futex }: ThreadState): number {
    const { words } = this;
    for (let i = 0; i < MAX_THREADS; i++) {
      const record = RECORDS + i * RECORD_WORDS;
      if (words[record + Field.Thread] !== 0) continue;
      words[record + Field.State] = State.Away;
      words[record + Field.Stat] = stat;
      words[record + Field.Call] = call;
      words[record + Field.Futex] = futex;
      words[record + Field.Losses] = 0;
      words[record + Field.Thread] = this.#thread + 1;
      words[Word.Records] = Math.max(words[Word.Records]!, i + 1);
      return record;
    }
    return -1;
  }

  state(record: number): State {
    return Atomics.load(this.words, record + Field.State) as State;
  }

  move(record: number, to: State): void {
    const from = this.state(record);
    if (from === to) return;
    this.#count(from, -1);
    this.#count(to, 1);
    Atomics.store(this.words, record + Field.State, to);
  }

  /** True when the thread has a slot, and may keep it: as many as were judged blocked too early must go. */
  acquire(record: number): boolean {
    const { words } = this;
    const state = this.state(record);
    if (state === State.Running || state === State.Coming) return words[Word.Holders]! <= words[Word.Limit]!;
    if (words[Word.Holders]! >= words[Word.Limit]!) return false;
    this.move(record, State.Coming);
    return true;
  }

  lineUp(record: number): void {
    const { words } = this;
    words[Word.Clock] = (words[Word.Clock]! + 1) | 0;
    words[record + Field.Since] = words[Word.Clock]!;
    this.move(record, State.Waiting);
  }

  /**
   * Wakes threads, last in first out: as many as there are packets that no thread comes for, and slots. When there is no
   * slot, the next in line is to watch.
   */
  dispatch(): void {
    const { words } = this;
    while (words[Word.Waiting]! > 0 && this.lacksThread) {
      const free = words[Word.Holders]! < words[Word.Limit]!;
      if (!free && words[Word.Watching]! > 0) return;
      const record = this.#newest();
      if (record < 0) return;
      this.move(record, free ? State.Coming : State.Watching);
      this.#toWake.push(record);
    }
  }

  /** Whether a thread of the waiting line is to come, or to watch until a slot is free. */
  get lacksThread(): boolean {
    const { words } = this;
    if (words[Word.Sockets] === 0) return this.queued > words[Word.Coming]!;
    return words[Word.Coming] === 0 || words[Word.Holders]! < words[Word.Limit]!;
  }

  /** Whether packets may be there that no thread comes for. */
  get needsWatch(): boolean {
    return this.words[Word.Sockets] === 0 ? this.queued > 0 : this.words[Word.Coming] === 0;
  }

  /** True when some thread is blocked, and no thread has looked at the others for a while. */
  get shouldLook(): boolean {
    const { words } = this;
    return words[Word.Blocked]! > 0 && ((this.#now() - words[Word.Looked]!) | 0) >= LOOK;
  }

  /** The threads that work on a packet, as they are now, for a look at them. Needs no lock. */
  workers(): Worker[] {
    const { words } = this;
    Atomics.store(words, Word.Looked, this.#now());
    return Array.from(this.#records())
      .filter((record) => this.#works(record))
      .map((record) => ({
        // First: what is read behind it may be another thread's, which this number tells.
        thread: words[record + Field.Thread]!,
        record,
        packet: words[record + Field.Packet]!,
        stat: words[record + Field.Stat]!,
        call: words[record + Field.Call]!,
        futex: words[record + Field.Futex]!,
      }))
      .filter(({ thread }) => thread !== 0);
  }

  /** The result of a look at a worker. One that has been asleep for long enough loses its slot; one that is awake is counted. */
  saw({ thread, record, packet }: Worker, sleep: Sleep): void {
    const { words } = this;
    // By now it may work on another packet, or have ended.
    if (words[record + Field.Thread] !== thread || !this.#works(record) || words[record + Field.Packet] !== packet)
      return;
    if (sleep === Sleep.Awake) {
      words[record + Field.Asleep] = 0;
      this.move(record, State.Running);
      return;
    }
    // Not 0, which has a meaning.
    const now = this.#now() | 1;
    if (words[record + Field.Asleep] === 0 || words[record + Field.Sleep] !== sleep) words[record + Field.Asleep] = now;
    words[record + Field.Sleep] = sleep;
    const long = sleep === Sleep.Lock ? LONG_LOCK : LONG_SLEEP;
    if (this.state(record) !== State.Running || ((now - words[record + Field.Asleep]!) | 0) < long) return;
    words[record + Field.Losses]!++;
    this.move(record, State.Blocked);
  }

  /** Whether a thread holds a slot and works on a packet. Needs no lock. */
  runs(thread: number): boolean {
    for (const record of this.#records()) {
      if (this.words[record + Field.Thread] === thread + 1) return this.state(record) === State.Running;
    }
    return false;
  }

  #works(record: number): boolean {
    const state = this.state(record);
    return state === State.Running || state === State.Blocked;
  }

  /** Needs no lock, so that a dead thread's does not matter. Each waiting thread finds its state changed. */
  close(): void {
    Atomics.store(this.words, Word.Closed, 1);
    for (const record of this.#records()) {
      Atomics.store(this.words, record + Field.State, State.Ended);
      this.#wake(record);
    }
  }

  /**
   * Takes back the slot and the lock of a thread that has ended. If another thread has the lock for long, that one does it when it gives
   * the lock up; if that has ended, too, its own recovery does it.
   */
  recover(deadThreadId: number): void {
    const { words } = this;
    const dead = deadThreadId + 1;
    for (const record of this.#records()) Atomics.compareExchange(words, record + Field.Thread, dead, 0);
    Atomics.store(words, Word.Recount, 1);
    if (this.#lock.inherit(deadThreadId) || this.lock(false)) this.#recount();
  }

  /** Inside the lock, which it gives up: makes the counts anew. */
  #recount(): void {
    const { words } = this;
    Atomics.store(words, Word.Recount, 0);
    for (const count of [Word.Holders, Word.Coming, Word.Waiting, Word.Watching, Word.Blocked]) words[count] = 0;
    for (const record of this.#records()) this.#count(this.state(record), 1);
    this.dispatch();
    this.unlock();
    // The thread that has ended may not have woken those whose turn it had found to be.
    for (const record of this.#records()) this.#wake(record);
  }

  /** Those in use. Without the lock some may be a moment old, or new. */
  *#records(): Iterable<number> {
    const end = RECORDS + Atomics.load(this.words, Word.Records) * RECORD_WORDS;
    for (let record = RECORDS; record < end; record += RECORD_WORDS) {
      if (Atomics.load(this.words, record + Field.Thread) !== 0) yield record;
    }
  }

  /** The record of the thread that lined up last, or -1. */
  #newest(): number {
    const { words } = this;
    let newest = -1;
    for (const record of this.#records()) {
      const state = this.state(record);
      if (state !== State.Waiting && state !== State.Watching) continue;
      if (newest < 0 || ((words[record + Field.Since]! - words[newest + Field.Since]!) | 0) > 0) newest = record;
    }
    return newest;
  }

  /** Has a thread look at its state, if it sleeps. */
  #wake(record: number): void {
    Atomics.notify(this.words, record + Field.State);
  }

  #count(state: State, by: number): void {
    const { words } = this;
    if (state === State.Coming || state === State.Running) words[Word.Holders]! += by;
    if (state === State.Coming) words[Word.Coming]! += by;
    if (state === State.Waiting || state === State.Watching) words[Word.Waiting]! += by;
    if (state === State.Watching) words[Word.Watching]! += by;
    if (state === State.Blocked) words[Word.Blocked]! += by;
  }
}

/** The same clock in all threads, in 32 bits. */
function microseconds(): number {
  return Number(process.hrtime.bigint() / 1000n) | 0;
}
