// The jobs of a pool that are with its threads, in shared memory. The owner fills a slot and posts (slot, ticket) to the
// pool's port; the thread that takes the packet claims the slot, reads the arguments, and leaves the result in their place.
//
//   free -> queued -> running, by thread n -> finished, in the list that the owner takes -> free
//
// A slot's ticket is another one for each job: a packet whose job has been withdrawn, or that was posted twice, claims
// nothing. Every step is one atomic store or exchange, so a thread that dies leaves no half of one.

import { ValueCodec } from './values.js';

/** Jobs that the threads can see at a time. Others wait with the owner. */
export const SLOTS = 1024;
/** Threads that the state of a slot can tell apart. */
export const MAX_THREADS = 250;

const SLOT_BYTES = 4096;
const SLOT_WORDS = SLOT_BYTES / 4;
const THREAD_WORDS = 16;
const HEADER_WORDS = 16;
const THREADS = HEADER_WORDS;
const FIRST_SLOT = Math.ceil((THREADS + MAX_THREADS * THREAD_WORDS) / SLOT_WORDS) * SLOT_WORDS;

const Header = {
  /** The finished jobs: the last one's slot + 1, or 0. */
  Finished: 0,
  /** 1 when the owner looks into that list anyway, or has been woken to. */
  OwnerAwake: 1,
} as const;

const ThreadWord = {
  /** Jobs that this thread has started. */
  Started: 0,
  WakeUps: 1,
  /** Grows with each answer of the owner to a question of this thread. */
  Answers: 2,
  /** 1 when it has loaded its module, or found that it cannot. */
  Loaded: 3,
} as const;

const SlotWord = {
  /** The ticket in the upper 24 bits; FREE, QUEUED, or RUNNING + the thread. */
  State: 0,
  /** The next in the list of the finished jobs: slot + 1, or 0. Of a result that is sent: its number among its thread's. */
  Next: 1,
  /** The ticket of a job that was aborted while it ran. */
  Aborted: 2,
  /** The meaning of the bytes: a Form. */
  Form: 3,
} as const;
const SLOT_HEADER_BYTES = 16;

const FREE = 0;
const QUEUED = 1;
const RUNNING = 2;
const TICKETS = 1 << 24;

/** The content of a slot, after the name of a job that has not finished. */
export const Form = {
  /** The arguments. */
  Arguments: 0,
  /** Nothing: the owner has the arguments, and sends them when asked. */
  Ask: 1,
  /** The value that the job returned. */
  Result: 2,
  /** The error that the job threw. */
  Thrown: 3,
  /** Why the job could not be run, or its result not be sent: code, reason, cause. */
  Refused: 4,
  /** Nothing: a message brings the value that the job returned or threw. */
  Sent: 5,
} as const;
export type Form = (typeof Form)[keyof typeof Form];

/** The bytes of values that a slot has room for. */
export const SLOT_CAPACITY = SLOT_BYTES - SLOT_HEADER_BYTES;

export class JobTable {
  readonly memory: SharedArrayBuffer;
  /** Reads and writes the values of the slot that was opened last. */
  readonly codec: ValueCodec;
  readonly #words: Int32Array;

  /** A new table, or a view of one that another thread made. Pages that no job has touched take no memory. */
  constructor(memory = new SharedArrayBuffer((FIRST_SLOT + SLOTS * SLOT_WORDS) * 4)) {
    this.memory = memory;
    this.codec = new ValueCodec(memory);
    this.#words = new Int32Array(memory);
  }

  /** Has the codec go on at the beginning of a slot's values. */
  open(slot: number): ValueCodec {
    const at = slotAt(slot) * 4;
    this.codec.seek(at + SLOT_HEADER_BYTES, at + SLOT_BYTES);
    return this.codec;
  }

  /** Fills a slot with bytes that a codec has written elsewhere. */
  fill(slot: number, bytes: Uint8Array): void {
    new Uint8Array(this.memory).set(bytes, slotAt(slot) * 4 + SLOT_HEADER_BYTES);
  }

  form(slot: number): Form {
    return this.#words[slotAt(slot) + SlotWord.Form] as Form;
  }

  setForm(slot: number, form: Form): void {
    this.#words[slotAt(slot) + SlotWord.Form] = form;
  }

  // For the owner.

  /** Makes a filled slot claimable. Gives its ticket. */
  queue(slot: number): number {
    const state = slotAt(slot) + SlotWord.State;
    const ticket = ((this.#words[state]! >>> 8) + 1) % TICKETS;
    Atomics.store(this.#words, state, (ticket << 8) | QUEUED);
    return ticket;
  }

  /** False when a thread has claimed it. */
  withdraw(slot: number, ticket: number): boolean {
    return this.#exchange(slot, (ticket << 8) | QUEUED, (ticket << 8) | FREE);
  }

  free(slot: number): void {
    const state = slotAt(slot) + SlotWord.State;
    Atomics.store(this.#words, state, this.#words[state]! & ~0xff);
  }

  isQueued(slot: number): boolean {
    return (this.#state(slot) & 0xff) === QUEUED;
  }

  /** The thread that has claimed it, or -1. */
  threadOf(slot: number): number {
    return Math.max(-1, (this.#state(slot) & 0xff) - RUNNING);
  }

  /** The job whose message is the next to come from a thread, or -1. */
  firstSentBy(thread: number): number {
    let first = -1;
    for (let slot = 0; slot < SLOTS; slot++) {
      const form = Atomics.load(this.#words, slotAt(slot) + SlotWord.Form);
      if (this.threadOf(slot) !== thread || form !== Form.Sent) continue;
      if (first < 0 || ((this.#sentAs(slot) - this.#sentAs(first)) | 0) < 0) first = slot;
    }
    return first;
  }

  abort(slot: number, ticket: number): void {
    Atomics.store(this.#words, slotAt(slot) + SlotWord.Aborted, ticket);
  }

  /** Moves the finished jobs' slots into `slots`, in the order in which they finished. */
  takeFinished(slots: number[]): void {
    slots.length = 0;
    if (Atomics.load(this.#words, Header.Finished) === 0) return;
    for (let next = Atomics.exchange(this.#words, Header.Finished, 0); next !== 0; ) {
      slots.push(next - 1);
      next = this.#words[slotAt(next - 1) + SlotWord.Next]!;
    }
    slots.reverse();
  }

  /** The owner looks into the list by itself: no thread need wake it. */
  ownerLooks(): void {
    Atomics.store(this.#words, Header.OwnerAwake, 1);
  }

  /** From now on a thread that finishes a job wakes the owner. False when one has finished a job meanwhile. */
  ownerRests(): boolean {
    const words = this.#words;
    Atomics.store(words, Header.OwnerAwake, 0);
    if (Atomics.load(words, Header.Finished) === 0) return true;
    Atomics.store(words, Header.OwnerAwake, 1);
    return false;
  }

  /** The counters of the threads; `reset` begins anew, for one that takes another's place. */
  startedBy(thread: number): number {
    return Atomics.load(this.#words, threadAt(thread) + ThreadWord.Started);
  }

  wakeUpsOf(thread: number): number {
    return Atomics.load(this.#words, threadAt(thread) + ThreadWord.WakeUps);
  }

  isLoaded(thread: number): boolean {
    return Atomics.load(this.#words, threadAt(thread) + ThreadWord.Loaded) !== 0;
  }

  reset(thread: number): void {
    this.#words.fill(0, threadAt(thread), threadAt(thread) + THREAD_WORDS);
  }

  /** Tells a thread that the answer to its question is in its messages. */
  answered(thread: number): void {
    const answers = threadAt(thread) + ThreadWord.Answers;
    Atomics.add(this.#words, answers, 1);
    Atomics.notify(this.#words, answers);
  }

  // For the threads.

  /** False when the job has been withdrawn, or another thread has claimed it. */
  claim(slot: number, ticket: number, thread: number): boolean {
    if (!this.#exchange(slot, (ticket << 8) | QUEUED, (ticket << 8) | (RUNNING + thread))) return false;
    const started = threadAt(thread) + ThreadWord.Started;
    Atomics.store(this.#words, started, this.#words[started]! + 1);
    return true;
  }

  isAborted(slot: number, ticket: number): boolean {
    return Atomics.load(this.#words, slotAt(slot) + SlotWord.Aborted) === ticket;
  }

  /** Puts a job into the list of the finished ones. True when the owner has to be woken, by the caller. */
  finish(slot: number): boolean {
    const words = this.#words;
    const next = slotAt(slot) + SlotWord.Next;
    let last: number;
    do {
      last = Atomics.load(words, Header.Finished);
      words[next] = last;
    } while (Atomics.compareExchange(words, Header.Finished, last, slot + 1) !== last);
    return Atomics.load(words, Header.OwnerAwake) === 0 && Atomics.exchange(words, Header.OwnerAwake, 1) === 0;
  }

  /** The value that the job returned or threw is about to go in a message, the thread's next one of that kind. */
  send(slot: number, number: number): void {
    const words = this.#words;
    words[slotAt(slot) + SlotWord.Next] = number;
    // The owner may look at this slot for the message of another one: it must not see the form without the number.
    Atomics.store(words, slotAt(slot) + SlotWord.Form, Form.Sent);
  }

  setLoaded(thread: number): void {
    Atomics.store(this.#words, threadAt(thread) + ThreadWord.Loaded, 1);
  }

  countWakeUps(thread: number, wakeUps: number): void {
    Atomics.store(this.#words, threadAt(thread) + ThreadWord.WakeUps, wakeUps);
  }

  answers(thread: number): number {
    return Atomics.load(this.#words, threadAt(thread) + ThreadWord.Answers);
  }

  /** Blocks until there are more answers than these. */
  awaitAnswer(thread: number, answers: number): void {
    const at = threadAt(thread) + ThreadWord.Answers;
    while (Atomics.load(this.#words, at) === answers) Atomics.wait(this.#words, at, answers);
  }

  #sentAs(slot: number): number {
    return this.#words[slotAt(slot) + SlotWord.Next]!;
  }

  #state(slot: number): number {
    return Atomics.load(this.#words, slotAt(slot) + SlotWord.State);
  }

  #exchange(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, slotAt(slot) + SlotWord.State, from, to) === from;
  }
}

function slotAt(slot: number): number {
  return FIRST_SLOT + slot * SLOT_WORDS;
}

function threadAt(thread: number): number {
  return THREADS + thread * THREAD_WORDS;
}
