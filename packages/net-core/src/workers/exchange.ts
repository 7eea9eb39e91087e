// The exchange: messages that sessions of several threads send, with one copy of their bytes. The bytes lie in native
// memory, in runs of slots, from where each thread's kernel operations read them; who still needs a message stands in
// shared memory.
//
//   publish()   takes a message and slots under the lock, copies the bytes, and holds the message for its own thread
//   hold()      for another thread, before it is told
//   release()   by the thread that was told, when no send of its reads the bytes any more; the last one frees the slots
//   forget()    all holds of a thread that is no more
//
// A thread may be terminated anywhere. What it was taking is held in its name before any of it is marked as taken.

import type { NativeBlock } from '@overlapped/iocp-native';
import { debugging, POISON } from '@overlapped/iocp-native/debug';

const SLOT = 4096;
const SLOTS = 4096;
const MESSAGES = 1024;
/** Bytes of native memory that an exchange needs. */
export const EXCHANGE_SIZE = SLOT * SLOTS;
/** The most bytes of one message: a sixteenth of the exchange. */
export const MOST_BYTES = EXCHANGE_SIZE / 16;

/** Tries between two looks at the clock, and milliseconds that a thread waits for another one inside the lock. */
const SPINS = 1000;
const PATIENCE = 50;

// Words of the control memory: the lock, then four for each message; then a byte for each slot, and for each message
// that a member holds.
const LOCK = 0;
const FIRST_MESSAGE = 1;
const REFERENCES = 0;
const START = 1;
const COUNT = 2;
const LENGTH = 3;
const WIDTH = 4;
const BYTES_AT = (FIRST_MESSAGE + MESSAGES * WIDTH) * 4;

/** The core's own thread is member 0. */
export const memberOf = (workerIndex: number): number => workerIndex + 1;

/** Memory for the control of an exchange between `members` threads. */
export function createControl(members: number): SharedArrayBuffer {
  return new SharedArrayBuffer(BYTES_AT + SLOTS + members * MESSAGES);
}

/** One thread's view of the exchange of a server. @internal */
export class Exchange {
  readonly control: SharedArrayBuffer;
  readonly block: NativeBlock;
  readonly member: number;
  readonly #lockName: number;
  readonly #words: Int32Array;
  readonly #taken: Uint8Array;
  readonly #holds: Uint8Array;
  /** How many of this thread's sends read each message, and 1 while it is being delivered. */
  readonly #uses = new Int32Array(MESSAGES);
  #nextSlot = 0;
  #nextMessage = 0;

  /** `threadId` is that of this thread, in the whole process. */
  constructor(control: SharedArrayBuffer, block: NativeBlock, member: number, threadId: number) {
    this.control = control;
    this.block = block;
    this.member = member;
    this.#lockName = threadId + 1;
    this.#words = new Int32Array(control, 0, BYTES_AT / 4);
    this.#taken = new Uint8Array(control, BYTES_AT, SLOTS);
    this.#holds = new Uint8Array(control, BYTES_AT + SLOTS);
  }

  /** Copies the bytes in, and holds the message for this thread. -1 when there is no room now. */
  publish(bytes: Uint8Array): number {
    const slots = Math.max(1, Math.ceil(bytes.length / SLOT));
    if (!this.#lock()) return -1;
    const message = this.#freeMessage();
    const start = message < 0 ? -1 : this.#freeRun(slots);
    if (start >= 0) {
      const at = wordOf(message);
      this.#words[at + REFERENCES] = 1;
      this.#holds[this.member * MESSAGES + message] = 1;
      this.#words[at + START] = start;
      this.#words[at + COUNT] = slots;
      this.#words[at + LENGTH] = bytes.length;
      this.#taken.fill(1, start, start + slots);
    }
    this.#unlock();
    if (start < 0) return -1;
    this.block.bytes.set(bytes, start * SLOT);
    this.#uses[message] = 1;
    return message;
  }

  /** Holds a message for another member, who is about to be told. */
  hold(message: number, member: number): void {
    Atomics.add(this.#words, wordOf(message) + REFERENCES, 1);
    Atomics.store(this.#holds, member * MESSAGES + message, 1);
  }

  /** The member could not be told. */
  unhold(message: number, member: number): void {
    if (Atomics.exchange(this.#holds, member * MESSAGES + message, 0) === 1) this.#drop(message);
  }

  /** This thread has been told of a message: use() and release() it. */
  accept(message: number): void {
    this.#uses[message] = 1;
  }

  /** One more send reads it. */
  use(message: number): void {
    this.#uses[message]!++;
  }

  /** A send, or the delivery, is done with it. */
  release(message: number): void {
    if (--this.#uses[message]! === 0) this.unhold(message, this.member);
  }

  offsetOf(message: number): number {
    return this.#words[wordOf(message) + START]! * SLOT;
  }

  lengthOf(message: number): number {
    return this.#words[wordOf(message) + LENGTH]!;
  }

  /** Messages that somebody holds. */
  get out(): number {
    let count = 0;
    for (let message = 0; message < MESSAGES; message++) {
      if (Atomics.load(this.#words, wordOf(message) + REFERENCES) > 0) count++;
    }
    return count;
  }

  /** A member's thread has ended: gives back what it held. */
  forget(member: number, threadId: number): void {
    Atomics.compareExchange(this.#words, LOCK, threadId + 1, 0);
    for (let message = 0; message < MESSAGES; message++) this.unhold(message, member);
  }

  #drop(message: number): void {
    const at = wordOf(message);
    // The slots are free before the message is: who takes it then writes all of its words.
    const start = this.#words[at + START]!;
    const count = this.#words[at + COUNT]!;
    if (Atomics.sub(this.#words, at + REFERENCES, 1) !== 1) return;
    if (debugging) this.block.bytes.fill(POISON, start * SLOT, (start + count) * SLOT);
    for (let slot = start; slot < start + count; slot++) Atomics.store(this.#taken, slot, 0);
    Atomics.store(this.#words, at + COUNT, 0);
  }

  /** A message that nobody holds and whose slots are free. */
  #freeMessage(): number {
    for (let i = 0; i < MESSAGES; i++) {
      const message = (this.#nextMessage + i) % MESSAGES;
      if (Atomics.load(this.#words, wordOf(message) + COUNT) !== 0) continue;
      this.#nextMessage = message + 1;
      return message;
    }
    return -1;
  }

  /** Where `slots` free ones lie side by side. */
  #freeRun(slots: number): number {
    for (let tries = 0, at = this.#nextSlot; tries < 2; tries++, at = 0) {
      for (let free = 0; at < SLOTS; at++) {
        free = Atomics.load(this.#taken, at) === 0 ? free + 1 : 0;
        if (free < slots) continue;
        this.#nextSlot = at + 1;
        return at + 1 - slots;
      }
    }
    return -1;
  }

  /** False when its holder does not let go, being no more: until somebody forgets it, there is no room. */
  #lock(): boolean {
    let until = 0;
    for (let tries = 1; Atomics.compareExchange(this.#words, LOCK, 0, this.#lockName) !== 0; tries++) {
      if (tries % SPINS !== 0) continue;
      const now = performance.now();
      if (until === 0) until = now + PATIENCE;
      else if (now >= until) return false;
    }
    return true;
  }

  #unlock(): void {
    Atomics.store(this.#words, LOCK, 0);
  }
}

function wordOf(message: number): number {
  return FIRST_MESSAGE + message * WIDTH;
}
