// The exchange: messages that sessions of several threads send, with one copy of their bytes. The bytes lie in native
// memory, in runs of slots, from where each thread's kernel operations read them; who still needs a message stands in
// shared memory.
//
//   publish()   takes a message and slots under the lock, copies the bytes, and holds the message for its own thread
//   hold()      for another thread, before it is told
//   accept()    by the thread that is told; from now on it uses the message
//   release()   by that thread, when no send of its reads the bytes any more; the last one frees the slots
//   exclude()   a thread that does not run: it is told of nothing more, and what it was told and has not accepted is taken back
//   forget()    all holds of a thread that is no more
//
// A thread may be terminated anywhere. What it was taking is held in its name before any of it is marked as taken.
//
// Peers decide how long a send reads its message. So only the lower half of the slots and of the messages is for sends to
// keep (mayKeep()): what lies in the upper half is copied by sessions, and free again as soon as it has been delivered. Peers
// that do not read can hold the lower half for ever, and broadcasts go on.

import type { NativeBlock } from '@overlapped/iocp-native';
import { debugging, POISON, SharedLock } from '@overlapped/iocp-native/internal';

const SLOT = 4096;
const SLOTS = 4096;
const MESSAGES = 1024;
/** Bytes of native memory that an exchange needs. */
export const EXCHANGE_SIZE = SLOT * SLOTS;
/** The most bytes of one message: a sixteenth of the exchange. */
export const MOST_BYTES = EXCHANGE_SIZE / 16;

/** Milliseconds that a thread waits for another one inside the lock. */
const PATIENCE = 50;

// Words of the control memory: the lock, then five for each message; then a byte for each slot, for each message that a
// member holds, and for each member that is excluded.
const LOCK = 0;
const FIRST_MESSAGE = 1;
const REFERENCES = 0;
const START = 1;
const COUNT = 2;
const LENGTH = 3;
/** Counts what the message's place has been used for. */
const TURN = 4;
const WIDTH = 5;
const BYTES_AT = (FIRST_MESSAGE + MESSAGES * WIDTH) * 4;

// What a member's byte for a message says: not held; accepted; from here on, told and not accepted, in which turn.
const NONE = 0;
const ACCEPTED = 1;
const TOLD = 2;
const TURNS = 200;
/** A ticket names a message in its lower bits, and the turn. */
const MESSAGE_BITS = 10;

/** The core's own thread is member 0. */
export const memberOf = (workerIndex: number): number => workerIndex + 1;

/** Memory for the control of an exchange between `members` threads. */
export function createControl(members: number): SharedArrayBuffer {
  return new SharedArrayBuffer(BYTES_AT + SLOTS + members * MESSAGES + members);
}

/** One thread's view of the exchange of a server. */
export class Exchange {
  readonly control: SharedArrayBuffer;
  readonly block: NativeBlock;
  readonly member: number;
  readonly #lock: SharedLock;
  readonly #words: Int32Array;
  readonly #taken: Uint8Array;
  readonly #holds: Uint8Array;
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
  constructor(control: SharedArrayBuffer, block: NativeBlock, member: number, threadId: number) {
    this.control = control;
    this.block = block;
    this.member = member;
    this.#words = new Int32Array(control, 0, BYTES_AT / 4);
    this.#lock = new SharedLock(this.#words, LOCK, threadId);
    this.#taken = new Uint8Array(control, BYTES_AT, SLOTS);
    const bytes = control.byteLength - BYTES_AT - SLOTS;
    const members = bytes / (MESSAGES + 1);
    this.#holds = new Uint8Array(control, BYTES_AT + SLOTS, members * MESSAGES);
    this.#excluded = new Uint8Array(control, BYTES_AT + SLOTS + members * MESSAGES, members);
  }

  /** Copies the bytes in, and holds the message for this thread. -1 when there is no room now. */
  publish(bytes: Uint8Array): number {
    const slots = Math.max(1, Math.ceil(bytes.length / SLOT));
    // It fails while a thread that has ended holds the lock, until forget() is called for that: no message fits meanwhile.
    if (!this.#lock.lock(PATIENCE)) return -1;
    let message = this.#take(0, slots, bytes.length);
    if (message < 0) message = this.#take(1, slots, bytes.length);
    this.#lock.unlock();
    if (message < 0) return -1;
    this.block.bytes.set(bytes, this.offsetOf(message));
    this.#begin(message);
    return message;
  }

  /** Holds a message for another member, who is about to be told its ticket. False, and nothing is held, if it is excluded. */
  hold(message: number, member: number): boolean {
    if (Atomics.load(this.#excluded, member) !== 0) return false;
    Atomics.add(this.#words, wordOf(message) + REFERENCES, 1);
    Atomics.store(this.#holds, member * MESSAGES + message, this.#told(message));
    return true;
  }

  /** What another member is told of a message. */
  ticketOf(message: number): number {
    return ((this.#told(message) << MESSAGE_BITS) | message) >>> 0;
  }

  /** The member could not be told. */
  unhold(message: number, member: number): void {
    if (Atomics.exchange(this.#holds, member * MESSAGES + message, NONE) !== NONE) this.#drop(message);
  }

  /** This thread has been told: use() and release() the message. -1 when it was taken back meanwhile. */
  accept(ticket: number): number {
    const message = ticket & (MESSAGES - 1);
    const told = ticket >>> MESSAGE_BITS;
    const at = this.member * MESSAGES + message;
    if (Atomics.compareExchange(this.#holds, at, told, ACCEPTED) !== told) return -1;
    this.#begin(message);
    return message;
  }

  /**
   * A member's thread does not run: it is told of nothing more until include(), and what it has not accepted is taken back.
   * To be called again while it does not run: another thread may have been about to tell it.
   */
  exclude(member: number): void {
    Atomics.store(this.#excluded, member, 1);
    for (let message = 0; message < MESSAGES; message++) {
      const at = member * MESSAGES + message;
      const told = Atomics.load(this.#holds, at);
      if (told >= TOLD && Atomics.compareExchange(this.#holds, at, told, NONE) === told) this.#drop(message);
    }
  }

  /** It runs again. */
  include(member: number): void {
    Atomics.store(this.#excluded, member, 0);
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
    if (this.#lock.inherit(threadId)) this.#lock.unlock();
    this.include(member);
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

  /** This thread has a message that it uses once: to deliver it. */
  #begin(message: number): void {
    this.#uses[message] = 1;
    this.#copied = -1;
    this.#copy = null;
  }

  #told(message: number): number {
    return TOLD + (this.#words[wordOf(message) + TURN]! % TURNS);
  }

  /** Takes a message and slots of one half, under the lock. -1 when there is no room. */
  #take(half: number, slots: number, length: number): number {
    const message = this.#freeMessage(half);
    const start = message < 0 ? -1 : this.#freeRun(half, slots);
    if (start < 0) return -1;
    const at = wordOf(message);
    this.#words[at + TURN] = (this.#words[at + TURN]! + 1) % TURNS;
    this.#words[at + REFERENCES] = 1;
    this.#holds[this.member * MESSAGES + message] = ACCEPTED;
    this.#words[at + START] = start;
    this.#words[at + COUNT] = slots;
    this.#words[at + LENGTH] = length;
    this.#taken.fill(1, start, start + slots);
    return message;
  }

  /** A message of one half that nobody holds and whose slots are free. */
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
