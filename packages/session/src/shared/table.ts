// The table of a server's shared sessions, in memory that all threads see: a record for each session, and the blocks of bytes
// that wait to be sent, to become frames, or to be given to a session.
//
//   words    header, services, records of WIDTH words, words of the blocks
//   bytes    the blocks, in native memory: the kernel reads them there
//
// Which thread may write which word of a record:
//   Turn     a compare-and-swap from 0 by the thread that begins a turn; that thread alone has handlers run for the session
//   Pending  Atomics.or() by any thread; the thread of the turn takes the bits
//   the rest under the record's lock; the thread of the turn may read it without

import { threadId } from 'node:worker_threads';
import type { NativeBlock } from '@overlapped/iocp-native';
import { SharedLock } from '@overlapped/iocp-native/internal';
import { nodeCrypto } from '../builtin.js';
import { blockWords } from './memory/blocks.js';
import { ByteQueues, QUEUE_WORDS } from './memory/byte-queues.js';
import { FrameBuffers } from './memory/frame-buffers.js';
import { createGroupMemory, GroupTable } from './memory/group-table.js';

/** The words of a record. */
export const Field = {
  /** A SharedLock. */
  Lock: 0,
  /** Counts the sessions that the record has served. */
  Generation: 1,
  /** Bits of Flag. */
  Flags: 2,
  /** threadId + 1 of the thread that handles the session now, or 0. */
  Turn: 3,
  /** Bits of Due. */
  Pending: 4,
  /** The descriptor plus one; 0 when there is none. */
  Socket: 5,
  /** The index of the service whose session it is. */
  Service: 6,
  /** Why the session ends: a number of Reason. */
  Reason: 7,
  /** Bytes received and sent, modulo 2^32. */
  Received: 8,
  Sent: 9,
  /** The next free record plus one. */
  Next: 10,
  /** The queues: bytes that the kernel has not taken, messages of other sessions. */
  Sends: 11,
  Messages: 11 + QUEUE_WORDS,
  /** The half frame: see FrameCutter. The thread of the turn changes it, without the lock. */
  Frame: 11 + 2 * QUEUE_WORDS,
  /** The hash of the peer's address, if the listener limits sessions of one address; else 0. */
  Address: 25,
  /** The records before and behind it, plus one, in the list of those with this hash. */
  AddressBefore: 26,
  AddressBehind: 27,
  /** 1 once onConnected was called: if the session ends before that, onDisconnected is not called either. */
  Opened: 28,
  /** The bytes of Sends, as they are in the sum of all sessions. */
  Counted: 29,
  /** 1 while the record is in no list of free ones: changed inside that list's lock. A free record may have a turn for a moment. */
  Taken: 30,
} as const;
const WIDTH = 32;

export const Flag = {
  /** Handlers may be called; send() takes bytes. */
  Open: 1,
  /** end() was called: no more bytes are taken; the direction to the peer ends when the queue is empty. */
  Ending: 2,
  /** That has happened. */
  Ended: 4,
  /** The peer has ended its direction. */
  PeerEnded: 8,
  /** The session is to end at once. */
  Closing: 16,
  /** send() has returned false: onDrain is to be called. */
  Congested: 32,
  /** The descriptor is closed with RST. */
  Reset: 64,
  /** onDisconnected was called. */
  Over: 128,
  /** A thread ended while it changed the queues: the session's blocks are given back when the session is over. */
  Torn: 256,
  /** The session has left the group of all sessions. */
  Aside: 512,
  /** The PROXY header is not complete: there is no session yet, and no handler is called. */
  Header: 1024,
  /** The peer has ended, and onEnd has returned: the session closes when its queue is empty. Not with `allowHalfOpen`. */
  Finishing: 2048,
  /** The queue's limit is exceeded (`beyond: 'pause'`): nothing is received until the queue has drained. */
  Throttled: 4096,
} as const;

/** The reasons of a session's next turn. */
export const Due = { Open: 1, Close: 2, Drain: 4, Message: 8, Read: 16, End: 32 } as const;

/** Why a thread that is not in the turn has a session end. The numbers of errno begin at 1. */
export const Reason = {
  None: 0,
  ThreadLost: -1,
  QueueFull: -2,
  Destroyed: -3,
  // Timeouts, and linger: the core's own thread looks for them.
  Read: -4,
  FirstByte: -5,
  Frame: -6,
  Write: -7,
  Lingered: -8,
  TooSlow: -9,
  // Why a client is refused whose PROXY header has come.
  Denied: -10,
  Crowded: -11,
} as const;

const Header = {
  /** A SharedLock, for the list of free records. */
  Lock: 0,
  /** The first free record plus one. */
  Free: 1,
  /** Records that were ever used. */
  Used: 2,
  /** A random number, with which hashes of addresses begin. */
  Seed: 3,
} as const;
const RECORDS = 16;
/** The most listeners at a time. */
export const MOST_SERVICES = 64;
const SERVICES = RECORDS;
const SERVICE_WIDTH = 16;

/** The words of a service. */
export const ServiceField = {
  /** Sessions that are open. */
  Sessions: 0,
  /** Connections that became sessions, and that were reset, modulo 2^32. */
  Accepted: 1,
  Refused: 2,
  /** Accepts that failed. */
  Failed: 3,
  /** The descriptor of the listening socket plus one; 0 once it is closed. */
  Listener: 4,
  /** Limits in bytes: watermarks, and those of the queue, of each session and of all (0: none). */
  HighWatermark: 5,
  LowWatermark: 6,
  PerSession: 7,
  InAll: 13,
  /** A number of Beyond: the effect of a send() beyond these limits. */
  Beyond: 14,
  /** 1 if a session stays open for sending after its peer's end: `allowHalfOpen`. */
  HalfOpen: 15,
  /** A SharedLock: held while the listening socket is used, or closed. */
  Lock: 8,
  /** 1 if a session is reset as soon as it, or its peer, ends: `linger: 0`. */
  NoLinger: 9,
  /** 1 if a broadcast closes a session whose queue is above its high watermark: `slowMembers: 'close'`. */
  ClosesSlow: 11,
  /** 1 while the listening socket is not armed, as the limits forbid to accept now: `whenFull: 'wait'`. */
  Waits: 12,
  /** Counts the listeners that the service's index has served. */
  Serial: 10,
} as const;

/** The numbers of `queueLimit.beyond`. */
export const Beyond = { close: 0, drop: 1, pause: 2 } as const;

/**
 * The words of a thread's share in the sum of all queued bytes. Only that thread changes them. When it ends in the middle of a change,
 * the recovery does the rest of it.
 */
const Share = {
  /** threadId + 1. */
  Thread: 0,
  /** The thread's part of the sum: it may be negative, as one thread queues bytes that another one sends. */
  Bytes: 1,
  /** The first word of the record whose change is going on, or 0; then the new values of Counted and of Bytes. */
  Record: 2,
  Counted: 3,
  Next: 4,
} as const;
const SHARE_WIDTH = 5;

/** In the place of a record that acquire() takes. */
const FULL = -1;
export const CROWDED = -2;

/** Milliseconds that a thread waits for a lock at a time, until the core's thread looks whether the holder has ended. */
const PATIENCE = 100;
const SLOT_RANGE = 2 ** 20;
const BLOCK_SIZE = 4096;
/** The most groups that have members at a time. */
const GROUPS = 4096;

/** The table, as it crosses to another thread. */
export interface TableToken {
  readonly words: SharedArrayBuffer;
  readonly groups: SharedArrayBuffer;
  readonly records: number;
  readonly blocks: number;
  /** Threads that use the table. */
  readonly threads: number;
  /** The address of the blocks: blockAt(). */
  readonly address: number;
}

/** Bytes of native memory for so many blocks. */
export const blocksSize = (blocks: number): number => blocks * BLOCK_SIZE;

const FIRST = SERVICES + MOST_SERVICES * SERVICE_WIDTH;

export function createTable(records: number, blocks: number, address: number, threads: number): TableToken {
  const size = FIRST + records * WIDTH + blockWords(blocks) + listsFor(records) + threads * SHARE_WIDTH;
  const words = new SharedArrayBuffer(size * 4);
  new Int32Array(words)[Header.Seed] = nodeCrypto().randomInt(2 ** 31);
  return {
    words,
    groups: createGroupMemory({ slots: records, groups: GROUPS }),
    records,
    blocks,
    threads,
    address,
  };
}

/** The lists of addresses that so many records need. */
const listsFor = (records: number): number => 2 ** Math.ceil(Math.log2(records));

/** One thread's view of the table. */
export class SharedTable {
  readonly token: TableToken;
  readonly words: Int32Array;
  readonly block: NativeBlock;
  readonly queues: ByteQueues;
  readonly frames: FrameBuffers;
  readonly groups: GroupTable;
  /** The threadId of the thread whose view this is, plus one: its mark in a lock, and in a turn. */
  readonly self: number;
  /**
   * Called with the threadId of a thread that has held a lock for long. The core's thread takes the locks of a thread that has ended
   * back in here: it cannot wait for the event of that thread's end meanwhile. Other threads wait for the core's thread.
   */
  stuck: ((holder: number) => void) | null = null;
  readonly #free: SharedLock;
  /** Where the lists of addresses begin: a word for each, the first record plus one. Their number is a power of two. */
  readonly #addresses: number;
  readonly #lists: number;
  /** Where the shares in the sum of queued bytes begin, and this thread's share. */
  readonly #shares: number;
  readonly #share: number;

  /**
   * @param index of the thread among those that use the table; when it has ended, another thread may have it
   * @param thread whose view this is
   */
  constructor(token: TableToken, block: NativeBlock, index: number, thread = threadId) {
    this.self = thread + 1;
    this.token = token;
    this.words = new Int32Array(token.words);
    this.block = block;
    this.#free = new SharedLock(this.words, Header.Lock, thread);
    this.#addresses = FIRST + token.records * WIDTH + blockWords(token.blocks);
    this.#lists = listsFor(token.records);
    this.#shares = this.#addresses + this.#lists;
    this.#share = this.#shares + index * SHARE_WIDTH;
    this.words[this.#share + Share.Thread] = this.self;
    this.queues = new ByteQueues({
      words: this.words,
      at: FIRST + token.records * WIDTH,
      queues: this.words,
      bytes: block.bytes.subarray(0, blocksSize(token.blocks)),
      blockSize: BLOCK_SIZE,
    });
    this.frames = new FrameBuffers(this.queues.blocks, this.words);
    const limits = { slots: token.records, groups: GROUPS };
    this.groups = new GroupTable(token.groups, limits, (slot) => this.generation(slot), thread);
  }

  /** The first word of a record. */
  at(slot: number): number {
    return FIRST + slot * WIDTH;
  }

  serviceAt(service: number): number {
    return SERVICES + service * SERVICE_WIDTH;
  }

  /** The name of a session in all threads, for ever: its record, and how many sessions that has served. */
  idOf(slot: number): number {
    return (this.words[this.at(slot) + Field.Generation]! >>> 0) * SLOT_RANGE + slot;
  }

  /** The record of a session that is there; -1 when it is over, or the number names none. */
  slotOf(id: number): number {
    if (!Number.isSafeInteger(id) || id < 0) return -1;
    const slot = id % SLOT_RANGE;
    if (slot >= this.token.records) return -1;
    return this.generation(slot) === (id - slot) / SLOT_RANGE ? slot : -1;
  }

  /** Exact inside the record's lock, and in the session's turn; else it may change at any moment. */
  generation(slot: number): number {
    return this.words[this.at(slot) + Field.Generation]! >>> 0;
  }

  /** Waits for the lock of a record. */
  lock(slot: number): void {
    const { words } = this;
    const at = this.at(slot) + Field.Lock;
    if (Atomics.compareExchange(words, at, 0, this.self) === 0) return;
    // The holder is in a call of the kernel. One that has ended there loses the lock to the core's thread.
    this.#insist(new SharedLock(words, at, this.self - 1), at);
  }

  #insist(lock: SharedLock, at: number): void {
    while (!lock.lock(PATIENCE)) {
      const holder = Atomics.load(this.words, at) - 1;
      if (holder >= 0) this.stuck?.(holder);
    }
  }

  unlock(slot: number): void {
    Atomics.store(this.words, this.at(slot) + Field.Lock, 0);
  }

  /** Removes a session from all groups. */
  leaveGroups(slot: number): void {
    while (!this.groups.leaveAll(slot)) {
      const { holder } = this.groups;
      if (holder >= 0) this.stuck?.(holder);
    }
  }

  /** A hash of an address in a service: not 0. */
  hashOf(service: number, address: string): number {
    let hash = this.words[Header.Seed]! ^ service;
    // FNV-1a.
    for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 0x01000193);
    return hash | 0 || 1;
  }

  /**
   * Takes a free record for a session of a service, with its turn. It is not open yet. FULL when there is none, CROWDED when `most` sessions
   * have the same address already.
   * @param address of hashOf(); 0 if addresses are not counted
   */
  acquire(service: number, address = 0, most = 0): number {
    const { words } = this;
    this.#insist(this.#free, Header.Lock);
    if (address !== 0 && this.#countOf(address, most) >= most) {
      this.#free.unlock();
      return CROWDED;
    }
    let slot = words[Header.Free]! - 1;
    if (slot >= 0) words[Header.Free] = words[this.at(slot) + Field.Next]!;
    else if (words[Header.Used]! < this.token.records) slot = words[Header.Used]!++;
    if (slot >= 0) {
      const at = this.at(slot);
      words[at + Field.Taken] = 1;
      words[at + Field.Turn] = this.self;
      words[at + Field.Service] = service;
      if (address !== 0) this.#link(slot, address);
      Atomics.add(words, this.serviceAt(service) + ServiceField.Sessions, 1);
    }
    this.#free.unlock();
    if (slot < 0) return FULL;
    const at = this.at(slot);
    words.fill(0, at + Field.Reason, at + Field.Address);
    words[at + Field.Opened] = 0;
    // A bit that was set for the session before is none of this one's.
    Atomics.store(words, at + Field.Pending, 0);
    return slot;
  }

  /** The session of a record is over, and its descriptor closed. The thread has its turn. */
  release(slot: number): void {
    const { words } = this;
    const at = this.at(slot);
    this.lock(slot);
    for (const queue of [Field.Sends, Field.Messages]) this.queues.clear(at + queue);
    this.countSends(at);
    this.frames.clear(at + Field.Frame);
    if ((words[at + Field.Flags]! & Flag.Torn) !== 0) this.queues.blocks.reclaim(slot + 1);
    Atomics.add(words, at + Field.Generation, 1);
    words[at + Field.Flags] = 0;
    this.unlock(slot);
    this.giveBack(slot);
  }

  /** Puts a record that serves no session back into the list of free ones. */
  giveBack(slot: number): void {
    const { words } = this;
    const at = this.at(slot);
    const service = words[at + Field.Service]!;
    // A session leaves its groups at its end, but its thread may have ended before.
    this.leaveGroups(slot);
    this.#insist(this.#free, Header.Lock);
    if (words[at + Field.Address] !== 0) this.#unlink(slot);
    words[at + Field.Taken] = 0;
    words[at + Field.Next] = words[Header.Free]!;
    words[Header.Free] = slot + 1;
    Atomics.store(words, at + Field.Turn, 0);
    Atomics.sub(words, this.serviceAt(service) + ServiceField.Sessions, 1);
    this.#free.unlock();
  }

  /** Counts a session of an address in. False if `most` sessions have that address already. The thread has the session's turn. */
  countAddress(slot: number, address: number, most: number): boolean {
    this.#insist(this.#free, Header.Lock);
    const fits = this.#countOf(address, most) < most;
    if (fits) this.#link(slot, address);
    this.#free.unlock();
    return fits;
  }

  /** Bytes that all sessions have queued to be sent. */
  get queuedInAll(): number {
    let bytes = 0;
    for (let share = this.#shares, i = 0; i < this.token.threads; i++, share += SHARE_WIDTH) {
      bytes += Atomics.load(this.words, share + Share.Bytes);
    }
    return bytes;
  }

  /** Inside the record's lock: the queue of sends has changed. @param at the record's first word */
  countSends(at: number): void {
    const { words } = this;
    const share = this.#share;
    const length = this.queues.lengthOf(at + Field.Sends);
    const more = length - words[at + Field.Counted]!;
    if (more === 0) return;
    words[share + Share.Counted] = length;
    words[share + Share.Next] = words[share + Share.Bytes]! + more;
    Atomics.store(words, share + Share.Record, at);
    this.#completeCount(share);
  }

  #completeCount(share: number): void {
    const { words } = this;
    const at = Atomics.load(words, share + Share.Record);
    if (at === 0) return;
    words[at + Field.Counted] = words[share + Share.Counted]!;
    Atomics.store(words, share + Share.Bytes, words[share + Share.Next]!);
    Atomics.store(words, share + Share.Record, 0);
  }

  /** The records that were ever used. */
  get used(): number {
    return Atomics.load(this.words, Header.Used);
  }

  /** The lock of a service's listening socket. */
  serviceLock(service: number): SharedLock {
    return new SharedLock(this.words, this.serviceAt(service) + ServiceField.Lock, this.self - 1);
  }

  /**
   * A thread has ended: opens the locks that it held, and repairs the structures that it was changing inside them. Gives the records that it
   * was changing, or whose turn it had.
   */
  recover(thread: number): number[] {
    const { words } = this;
    const lost: number[] = [];
    if (this.#free.inherit(thread)) {
      this.#relink();
      this.#linkAnew();
      this.#free.unlock();
    }
    this.groups.recover(thread);
    for (let service = 0; service < MOST_SERVICES; service++) {
      const lock = this.serviceLock(service);
      if (lock.inherit(thread)) lock.unlock();
    }
    for (let share = this.#shares, i = 0; i < this.token.threads; i++, share += SHARE_WIDTH) {
      if (words[share + Share.Thread] === thread + 1) this.#completeCount(share);
    }
    for (let slot = 0; slot < this.used; slot++) {
      const at = this.at(slot);
      const lock = new SharedLock(words, at + Field.Lock, this.self - 1);
      if (lock.inherit(thread)) {
        // A queue that was being changed is lost, and with it the session. The kernel may be sending from one of its blocks.
        words.fill(0, at + Field.Sends, at + Field.Messages + QUEUE_WORDS);
        this.countSends(at);
        if (words[at + Field.Flags] !== 0) {
          words[at + Field.Reason] = Reason.ThreadLost;
          Atomics.or(words, at + Field.Flags, Flag.Closing | Flag.Reset | Flag.Torn);
          Atomics.or(words, at + Field.Pending, Due.Close);
        }
        lock.unlock();
        if (!lost.includes(slot)) lost.push(slot);
      }
      if (Atomics.load(words, at + Field.Turn) !== thread + 1) continue;
      this.frames.reclaim(at + Field.Frame, slot);
      if (!lost.includes(slot)) lost.push(slot);
    }
    return lost;
  }

  // The lists of addresses, inside the lock of the free records.

  #listOf(address: number): number {
    return this.#addresses + (address & (this.#lists - 1));
  }

  /** Sessions of an address; no more than `most` are counted. */
  #countOf(address: number, most: number): number {
    const { words } = this;
    let count = 0;
    for (let next = words[this.#listOf(address)]!; next !== 0 && count < most; ) {
      const at = this.at(next - 1);
      if (words[at + Field.Address] === address) count++;
      next = words[at + Field.AddressBehind]!;
    }
    return count;
  }

  #link(slot: number, address: number): void {
    const { words } = this;
    const at = this.at(slot);
    const list = this.#listOf(address);
    const next = words[list]!;
    words[at + Field.Address] = address;
    words[at + Field.AddressBefore] = 0;
    words[at + Field.AddressBehind] = next;
    if (next !== 0) words[this.at(next - 1) + Field.AddressBefore] = slot + 1;
    words[list] = slot + 1;
  }

  #unlink(slot: number): void {
    const { words } = this;
    const at = this.at(slot);
    const before = words[at + Field.AddressBefore]!;
    const behind = words[at + Field.AddressBehind]!;
    if (before === 0) words[this.#listOf(words[at + Field.Address]!)] = behind;
    else words[this.at(before - 1) + Field.AddressBehind] = behind;
    if (behind !== 0) words[this.at(behind - 1) + Field.AddressBefore] = before;
    words[at + Field.Address] = 0;
  }

  /** A thread has ended while it changed a list. */
  #linkAnew(): void {
    const { words } = this;
    words.fill(0, this.#addresses, this.#addresses + this.#lists);
    for (let slot = 0; slot < this.used; slot++) {
      const address = words[this.at(slot) + Field.Address]!;
      if (address !== 0) this.#link(slot, address);
    }
  }

  /** Inside the lock of the list: makes the list and the counts of sessions anew. */
  #relink(): void {
    const { words } = this;
    const sessions = new Int32Array(MOST_SERVICES);
    words[Header.Free] = 0;
    for (let slot = 0; slot < words[Header.Used]!; slot++) {
      const at = this.at(slot);
      if (words[at + Field.Taken] === 0) {
        words[at + Field.Next] = words[Header.Free]!;
        words[Header.Free] = slot + 1;
      } else {
        sessions[words[at + Field.Service]!]!++;
      }
    }
    for (const [service, count] of sessions.entries()) {
      Atomics.store(words, this.serviceAt(service) + ServiceField.Sessions, count);
    }
  }
}
