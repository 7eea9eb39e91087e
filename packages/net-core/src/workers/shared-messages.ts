// Messages that sessions of several threads send, with one copy of their bytes. The bytes lie in native memory, in runs of slots,
// and the kernel reads them there for each thread's sends. References to a message are counted in shared memory, for each thread.
//
//   publish()      takes a message and slots under the lock, copies the bytes, and adds a reference for its own thread
//   retainFor()    adds a reference for another thread, before that is posted the message's ticket
//   accept()       by the thread that was posted the ticket: from now on it uses the message
//   retain()       by that thread: one more send reads the bytes
//   release()      by that thread: a send, or the delivery, is done. The thread's last release drops its reference; the last
//                  reference frees the slots
//   exclude()      a thread that does not run: it gets no references, and those that it has not accepted are taken back
//   releaseAll()   drops all references of a thread that has ended
//
// A thread may be terminated anywhere. A reference is written down for the thread before anything is marked as taken.
//
// Peers decide how long a send reads its message. So sends may keep messages in the lower half of the slots only (mayKeep()).
// Sessions copy messages of the upper half, which are free again as soon as they have been delivered. Peers that do not read can
// hold the lower half for ever, and broadcasts go on.

import type { NativeBlock } from '@overlapped/iocp-native';
import { debugging, POISON, SharedLock } from '@overlapped/iocp-native/internal';

const SLOT = 4096;
const SLOTS = 4096;
const MESSAGES = 1024;
/** Bytes of native memory that the messages of a server need. */
export const MEMORY_SIZE = SLOT * SLOTS;
/** The most bytes of one message: a sixteenth of the memory. */
export const MOST_BYTES = MEMORY_SIZE / 16;

/** Milliseconds that a thread waits for another one inside the lock. */
const PATIENCE = 50;

// Words of the control memory: the lock, then five for each message. Then bytes: one for each slot, one for each message and
// thread, and one for each thread that is excluded.
const LOCK = 0;
const FIRST_MESSAGE = 1;
const REFERENCES = 0;
const START = 1;
const COUNT = 2;
const LENGTH = 3;
/** Counts the messages that the place has held. */
const TURN = 4;
const WIDTH = 5;
const BYTES_AT = (FIRST_MESSAGE + MESSAGES * WIDTH) * 4;

// The byte of a thread for a message: it has no reference; it has accepted one; from TOLD on, its ticket was posted, in this turn.
const NONE = 0;
const ACCEPTED = 1;
const TOLD = 2;
const TURNS = 200;
/** A ticket names a message in its lower bits, and the turn. */
const MESSAGE_BITS = 10;

/** The core's own thread has index 0. */
export const threadIndexOf = (workerIndex: number): number => workerIndex + 1;

/** Memory for the control words of so many threads. */
export function createControl(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(BYTES_AT + SLOTS + threads * MESSAGES + threads);
}

/** One thread's view of the shared messages of a server. */
export class SharedMessages {
  readonly control: SharedArrayBuffer;
  readonly block: NativeBlock;
  readonly threadIndex: number;
  readonly #lock: SharedLock;
  readonly #words: Int32Array;
  readonly #taken: Uint8Array;
  readonly #references: Uint8Array;
  /** How many of this thread's sends read each message, and 1 while it is being delivered. */
  readonly #uses = new Int32Array(MESSAGES);
  readonly #excluded: Uint8Array;
  /** Where the search begins, in the lower half and in the upper one. */
  readonly #nextSlot = [0, SLOTS / 2];
  readonly #nextMessage = [0, MESSAGES / 2];
  /** The copy that sessions share which must not keep the message itself. */
  #copied = -1;
  #copy: Uint8Array | null = null;

  /** `threadId` is that of this thread, in the whole process. */
  constructor(control: SharedArrayBuffer, block: NativeBlock, threadIndex: number, threadId: number) {
    this.control = control;
    this.block = block;
    this.threadIndex = threadIndex;
    this.#words = new Int32Array(control, 0, BYTES_AT / 4);
    this.#lock = new SharedLock(this.#words, LOCK, threadId);
    this.#taken = new Uint8Array(control, BYTES_AT, SLOTS);
    const bytes = control.byteLength - BYTES_AT - SLOTS;
    const threads = bytes / (MESSAGES + 1);
    this.#references = new Uint8Array(control, BYTES_AT + SLOTS, threads * MESSAGES);
    this.#excluded = new Uint8Array(control, BYTES_AT + SLOTS + threads * MESSAGES, threads);
  }

  /** Copies the bytes, with a reference for this thread. -1 when there is no space now. */
  publish(bytes: Uint8Array): number {
    const slots = Math.max(1, Math.ceil(bytes.length / SLOT));
    // It fails while a thread that has ended holds the lock, until releaseAll() is called for that thread.
    if (!this.#lock.lock(PATIENCE)) return -1;
    let message = this.#take(0, slots, bytes.length);
    if (message < 0) message = this.#take(1, slots, bytes.length);
    this.#lock.unlock();
    if (message < 0) return -1;
    this.block.bytes.set(bytes, this.offsetOf(message));
    this.#begin(message);
    return message;
  }

  /** Adds a reference for another thread, which is about to be posted the ticket. False, and no reference, if it is excluded. */
  retainFor(message: number, threadIndex: number): boolean {
    if (Atomics.load(this.#excluded, threadIndex) !== 0) return false;
    Atomics.add(this.#words, wordOf(message) + REFERENCES, 1);
    Atomics.store(this.#references, threadIndex * MESSAGES + message, this.#ticketTurn(message));
    return true;
  }

  /** The number that is posted to another thread for a message. */
  ticketOf(message: number): number {
    return ((this.#ticketTurn(message) << MESSAGE_BITS) | message) >>> 0;
  }

  /** Drops the reference of a thread: its last send is done, or the ticket could not be posted to it. */
  releaseFor(message: number, threadIndex: number): void {
    if (Atomics.exchange(this.#references, threadIndex * MESSAGES + message, NONE) !== NONE) this.#drop(message);
  }

  /** This thread got the ticket: it may retain() the message, and release()s it. -1 when the reference was taken back meanwhile. */
  accept(ticket: number): number {
    const message = ticket & (MESSAGES - 1);
    const told = ticket >>> MESSAGE_BITS;
    const at = this.threadIndex * MESSAGES + message;
    if (Atomics.compareExchange(this.#references, at, told, ACCEPTED) !== told) return -1;
    this.#begin(message);
    return message;
  }

  /**
   * A thread does not run: it gets no references until include(), and those that it has not accepted are taken back.
   * To be called again while it does not run: another thread may have been about to tell it.
   */
  exclude(threadIndex: number): void {
    Atomics.store(this.#excluded, threadIndex, 1);
    for (let message = 0; message < MESSAGES; message++) {
      const at = threadIndex * MESSAGES + message;
      const told = Atomics.load(this.#references, at);
      if (told >= TOLD && Atomics.compareExchange(this.#references, at, told, NONE) === told) this.#drop(message);
    }
  }

  /** It runs again. */
  include(threadIndex: number): void {
    Atomics.store(this.#excluded, threadIndex, 0);
  }

  /** Whether sends may read the message itself, for as long as their peers like. Else they take a copy. */
  mayKeep(message: number): boolean {
    return message < MESSAGES / 2;
  }

  /** A copy of the message being delivered, or of a part of it, which all sessions of this thread share. */
  copyOf(message: number, offset: number, length: number): Uint8Array {
    if (this.#copied !== message || this.#copy === null) {
      this.#copied = message;
      this.#copy = Uint8Array.prototype.slice.call(this.block.bytes, offset, offset + length);
    }
    return this.#copy;
  }

  /** One more send reads it. */
  retain(message: number): void {
    this.#uses[message]!++;
  }

  /** A send, or the delivery, is done with it. */
  release(message: number): void {
    if (--this.#uses[message]! === 0) this.releaseFor(message, this.threadIndex);
  }

  offsetOf(message: number): number {
    return this.#words[wordOf(message) + START]! * SLOT;
  }

  lengthOf(message: number): number {
    return this.#words[wordOf(message) + LENGTH]!;
  }

  /** How many messages have references. */
  get out(): number {
    let count = 0;
    for (let message = 0; message < MESSAGES; message++) {
      if (Atomics.load(this.#words, wordOf(message) + REFERENCES) > 0) count++;
    }
    return count;
  }

  /** A thread has ended: drops all of its references, and opens the lock if it held that. */
  releaseAll(threadIndex: number, threadId: number): void {
    if (this.#lock.inherit(threadId)) this.#lock.unlock();
    this.include(threadIndex);
    for (let message = 0; message < MESSAGES; message++) this.releaseFor(message, threadIndex);
  }

  #drop(message: number): void {
    const at = wordOf(message);
    // The slots are free before the message is: the next thread that takes it writes all of its words.
    const start = this.#words[at + START]!;
    const count = this.#words[at + COUNT]!;
    if (Atomics.sub(this.#words, at + REFERENCES, 1) !== 1) return;
    if (debugging) this.block.bytes.fill(POISON, start * SLOT, (start + count) * SLOT);
    for (let slot = start; slot < start + count; slot++) Atomics.store(this.#taken, slot, 0);
    Atomics.store(this.#words, at + COUNT, 0);
  }

  /** This thread has a message that it uses once: to deliver it. */
  #begin(message: number): void {
    this.#uses[message] = 1;
    this.#copied = -1;
    this.#copy = null;
  }

  #ticketTurn(message: number): number {
    return TOLD + (this.#words[wordOf(message) + TURN]! % TURNS);
  }

  /** Takes a message and slots of one half, under the lock. -1 when there is no space. */
  #take(half: number, slots: number, length: number): number {
    const message = this.#freeMessage(half);
    const start = message < 0 ? -1 : this.#freeRun(half, slots);
    if (start < 0) return -1;
    const at = wordOf(message);
    this.#words[at + TURN] = (this.#words[at + TURN]! + 1) % TURNS;
    this.#words[at + REFERENCES] = 1;
    this.#references[this.threadIndex * MESSAGES + message] = ACCEPTED;
    this.#words[at + START] = start;
    this.#words[at + COUNT] = slots;
    this.#words[at + LENGTH] = length;
    this.#taken.fill(1, start, start + slots);
    return message;
  }

  /** A message of one half that has no references and whose slots are free. */
  #freeMessage(half: number): number {
    const size = MESSAGES / 2;
    for (let i = 0; i < size; i++) {
      const message = half * size + ((this.#nextMessage[half]! + i) % size);
      if (Atomics.load(this.#words, wordOf(message) + COUNT) !== 0) continue;
      this.#nextMessage[half] = message + 1;
      return message;
    }
    return -1;
  }

  /** Where `slots` free ones lie side by side in one half. */
  #freeRun(half: number, slots: number): number {
    const begin = (half * SLOTS) / 2;
    const end = begin + SLOTS / 2;
    for (let tries = 0, at = this.#nextSlot[half]!; tries < 2; tries++, at = begin) {
      for (let free = 0; at < end; at++) {
        free = Atomics.load(this.#taken, at) === 0 ? free + 1 : 0;
        if (free < slots) continue;
        this.#nextSlot[half] = at + 1;
        return at + 1 - slots;
      }
    }
    return -1;
  }
}

function wordOf(message: number): number {
  return FIRST_MESSAGE + message * WIDTH;
}
