// Groups of shared sessions, in memory that all threads see: for each group its name, and a bit for each session slot.
//
// All changes happen under a lock. The counts follow from the bits, and a group without members is a free one; so when a thread ends
// inside the lock, counting anew restores order. Layout: the header (Word); for each slot how many groups it is in; the headers of
// the groups (Group), which a search reads; their bits; their names, MAX_NAME bytes each.
// Pages that no group has used yet take no memory.

import { threadId } from 'node:worker_threads';
import { IocpError } from '@overlapped/iocp-native';
import { SharedLock } from '@overlapped/iocp-native/internal';

/** Limit of a group's name, in bytes. */
const MAX_NAME = 1024;
const WORD_BITS = 32;
/** Milliseconds to wait for the lock. A holder needs microseconds, but a thread that ended holds it until recover(). */
const PATIENCE = 1000;

const Word = {
  /** A SharedLock. */
  Lock: 0,
  /** Groups that were ever in use. */
  Groups: 1,
  /** Slots that were ever in a group. */
  Slots: 2,
} as const;
const HEADER = 4;

const Group = {
  /** Members; 0 for a free group. */
  Count: 0,
  Hash: 1,
  NameLength: 2,
} as const;
const GROUP_HEADER = 4;

/** The sizes of a table. */
export interface GroupLimits {
  readonly slots: number;
  readonly groups: number;
}

export class GroupTable {
  readonly #limits: GroupLimits;
  readonly #words: Int32Array;
  readonly #names: Buffer;
  readonly #lock: SharedLock;
  readonly #generationOf: (slot: number) => number;
  /** Words of a group's bits. */
  readonly #width: number;
  /** Where the headers of the groups begin, and their bits. */
  readonly #groups: number;
  readonly #bits: number;
  /** The members of the group that was listed last, and the generations of their slots. */
  readonly #listed: Int32Array;
  readonly #generations: Uint32Array;
  /** The words of it that are in use. */
  #listedWords = 0;

  /**
   * @param memory of createGroupMemory(), with the same limits
   * @param generationOf changes when a slot serves another session, after leaveAll()
   */
  constructor(
    memory: SharedArrayBuffer,
    limits: GroupLimits,
    generationOf: (slot: number) => number,
    thread = threadId,
  ) {
    this.#limits = limits;
    this.#generationOf = generationOf;
    this.#width = bitWords(limits);
    this.#groups = HEADER + limits.slots;
    this.#bits = this.#groups + limits.groups * GROUP_HEADER;
    const words = wordsOf(limits);
    this.#words = new Int32Array(memory, 0, words);
    this.#names = Buffer.from(memory, words * Int32Array.BYTES_PER_ELEMENT);
    this.#lock = new SharedLock(this.#words, Word.Lock, thread);
    this.#listed = new Int32Array(this.#width);
    this.#generations = new Uint32Array(limits.slots);
  }

  /** The threadId of the thread that holds the lock; -1 when none does. */
  get holder(): number {
    return Atomics.load(this.#words, Word.Lock) - 1;
  }

  /**
   * Adds a session's slot to a group, which is made if there is none of this name. Throws a RangeError for a name of more than 1,024
   * bytes, and an IocpError: ENOBUFS when all groups are in use, EBUSY when the table is locked by a thread that has ended.
   */
  join(slot: number, name: string): void {
    const bytes = nameBytes(name);
    this.#enter('join a group');
    try {
      let group = this.#find(bytes);
      if (group < 0) group = this.#make(bytes);
      if (group < 0) {
        throw new IocpError('join a group', `all ${this.#limits.groups} groups are in use`, 'ENOBUFS', 'join');
      }
      this.#set(group, slot);
    } finally {
      this.#lock.unlock();
    }
  }

  /** Takes a session's slot out of a group, if it is in it. Throws an IocpError as join() does (EBUSY). */
  leave(slot: number, name: string): void {
    const bytes = nameBytes(name);
    this.#enter('leave a group');
    const group = this.#find(bytes);
    if (group >= 0) this.#clear(group, slot);
    this.#lock.unlock();
  }

  /**
   * Takes a session's slot out of all groups. False, and nothing is changed, when the table is locked by a thread that has ended: the
   * slot must not serve another session before this has been true.
   */
  leaveAll(slot: number): boolean {
    const words = this.#words;
    // Only the session itself joins, and it is over: no lock is needed to see that it is in no group.
    const joined = HEADER + slot;
    if (Atomics.load(words, joined) === 0) return true;
    if (!this.#lock.lock(PATIENCE)) return false;
    for (let group = 0; group < words[Word.Groups]! && words[joined]! > 0; group++) this.#clear(group, slot);
    this.#lock.unlock();
    return true;
  }

  /**
   * Makes a list of a group's members, as they are now, for nextMember(). It is a copy: a group that is left meanwhile may get another
   * name, and its new members must not get messages for the old ones. Throws an IocpError as join() does (EBUSY).
   */
  list(name: string): void {
    const bytes = nameBytes(name);
    this.#listedWords = 0;
    this.#enter('list a group');
    const group = this.#find(bytes);
    if (group >= 0) {
      this.#listedWords = Math.ceil(this.#words[Word.Slots]! / WORD_BITS);
      const bits = this.#bits + group * this.#width;
      for (let i = 0; i < this.#listedWords; i++) this.#listed[i] = this.#words[bits + i]!;
      for (let slot = this.nextMember(0); slot >= 0; slot = this.nextMember(slot + 1)) {
        this.#generations[slot] = this.#generationOf(slot);
      }
    }
    this.#lock.unlock();
  }

  /** The generation of a member of the list. */
  generation(slot: number): number {
    return this.#generations[slot]!;
  }

  /** The first slot from `from` on that is a member of the listed group, or -1. */
  nextMember(from: number): number {
    let index = from >>> 5;
    // Bits below `from` are not asked for.
    let mask = -1 << (from & 31);
    for (; index < this.#listedWords; index++) {
      const bits = this.#listed[index]! & mask;
      // The lowest bit that is set.
      if (bits !== 0) return index * WORD_BITS + 31 - Math.clz32(bits & -bits);
      mask = -1;
    }
    return -1;
  }

  /** Puts the table in order after the end of a thread, if that held the lock. Must come before leaveAll() for its session. */
  recover(deadThreadId: number): void {
    if (!this.#lock.inherit(deadThreadId)) return;
    const words = this.#words;
    const groups = Array.from({ length: words[Word.Groups]! }, (_, group) => group);
    const slots = words[Word.Slots]!;
    for (const group of groups) {
      let members = 0;
      for (let slot = 0; slot < slots; slot++) if (this.#has(group, slot)) members++;
      words[this.#at(group) + Group.Count] = members;
    }
    for (let slot = 0; slot < slots; slot++) {
      // One store each: leaveAll() reads this without the lock.
      Atomics.store(words, HEADER + slot, groups.filter((group) => this.#has(group, slot)).length);
    }
    this.#lock.unlock();
  }

  #enter(action: string): void {
    if (this.#lock.lock(PATIENCE)) return;
    throw new IocpError(action, 'the thread that holds the lock of the groups has ended', 'EBUSY', 'lock');
  }

  // The methods below are for the thread inside the lock. A group is its index.

  #at(group: number): number {
    return this.#groups + group * GROUP_HEADER;
  }

  /** The group of this name, or -1. */
  #find(name: Buffer): number {
    const words = this.#words;
    const hash = hashOf(name);
    for (let group = 0; group < words[Word.Groups]!; group++) {
      const at = this.#at(group);
      if (words[at + Group.Hash] !== hash || words[at + Group.Count] === 0) continue;
      if (words[at + Group.NameLength] !== name.length) continue;
      const start = group * MAX_NAME;
      if (name.equals(this.#names.subarray(start, start + name.length))) return group;
    }
    return -1;
  }

  /** A group without members gets the name; -1 when there is none. */
  #make(name: Buffer): number {
    const words = this.#words;
    for (let group = 0; group < this.#limits.groups; group++) {
      const at = this.#at(group);
      if (words[at + Group.Count] !== 0) continue;
      this.#names.set(name, group * MAX_NAME);
      words[at + Group.NameLength] = name.length;
      words[at + Group.Hash] = hashOf(name);
      words[Word.Groups] = Math.max(words[Word.Groups]!, group + 1);
      return group;
    }
    return -1;
  }

  #wordOf(group: number, slot: number): number {
    return this.#bits + group * this.#width + (slot >>> 5);
  }

  #has(group: number, slot: number): boolean {
    return ((this.#words[this.#wordOf(group, slot)]! >>> (slot & 31)) & 1) === 1;
  }

  #set(group: number, slot: number): void {
    if (this.#has(group, slot)) return;
    const words = this.#words;
    words[Word.Slots] = Math.max(words[Word.Slots]!, slot + 1);
    words[this.#wordOf(group, slot)]! |= 1 << (slot & 31);
    words[this.#at(group) + Group.Count]!++;
    words[HEADER + slot]!++;
  }

  #clear(group: number, slot: number): void {
    if (!this.#has(group, slot)) return;
    const words = this.#words;
    words[this.#wordOf(group, slot)]! &= ~(1 << (slot & 31));
    words[this.#at(group) + Group.Count]!--;
    words[HEADER + slot]!--;
  }
}

/** Memory for a table of so many groups and slots. */
export function createGroupMemory(limits: GroupLimits): SharedArrayBuffer {
  return new SharedArrayBuffer(wordsOf(limits) * Int32Array.BYTES_PER_ELEMENT + limits.groups * MAX_NAME);
}

function bitWords({ slots }: GroupLimits): number {
  return Math.ceil(slots / WORD_BITS);
}

function wordsOf(limits: GroupLimits): number {
  return HEADER + limits.slots + limits.groups * (GROUP_HEADER + bitWords(limits));
}

function nameBytes(name: string): Buffer {
  const bytes = Buffer.from(name);
  if (bytes.length > MAX_NAME) throw new RangeError(`a group's name has at most ${MAX_NAME} bytes`);
  return bytes;
}

/** FNV-1a. */
function hashOf(name: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of name) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash | 0;
}
