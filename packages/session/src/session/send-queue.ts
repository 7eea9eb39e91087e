// The send queue of a session: what waits, in order, and what is in flight. One send takes as much of what waits as it
// can gather.
//
//   head -> segment -> segment -> tail        waits, in user memory or in buffers of ours
//   inFlight -> segment -> segment            with the kernel: not touched until the send's packet is here
//
// A segment's bytes lie in a receive buffer (borrowed bytes, kept without a copy), in a send buffer (copied), in a spare block
// (copied, when all send buffers were out for too long), in the exchange (what many sessions send), or still in the caller's
// own memory (what is larger than a send buffer; copied piece by piece as it is sent). A file is a segment without bytes,
// which goes out by itself, at the head of the queue.

import { GatherList, IocpError, MAX_GATHER, type NativeBlock } from '@overlapped/iocp-native';
import { copyInto, lengthOf, plainView } from '@overlapped/iocp-native/internal';
import { type Core, type Exchange, Stat } from '@overlapped/net-core/internal';
import type { BufferPool } from '@overlapped/object-pool';
import { borrowed } from '../borrowed.js';
import { SENDER } from '../sender.js';
import type { FileQueue, FileSend } from './file-send.js';

/** The most bytes that one send takes from large segments, so that one session does not drain the pool. */
const BYTES_PER_SEND = 65536;

/** Bytes of a message that take less of the exchange than copying them costs. */
const SHORT_MESSAGE = 4096;

/**
 * Whether a buffer may be taken for bytes that wait. The last ones are for sends that start now, which give them back by
 * themselves: else all could wait behind bytes that need one.
 */
function mayWait({ out, capacity }: BufferPool): boolean {
  return out < capacity - (capacity >> 4) - 1;
}

/** So many buffers are out that a send of a caller's bytes takes one at a time. */
function areShort({ out, capacity }: BufferPool): boolean {
  return out > capacity >> 1;
}

/** Where the core's statistic lies. */
const QUEUED = Stat.bytesQueued;

const RECEIVE_BUFFER = 0;
const SEND_BUFFER = 1;
const CALLER = 2;
const MESSAGE = 3;
const FILE = 4;
const SPARE = 5;
type Place = typeof RECEIVE_BUFFER | typeof SEND_BUFFER | typeof CALLER | typeof MESSAGE | typeof FILE | typeof SPARE;

/** Segments that are kept for the next time. Peers that do not read can have many. */
const MOST_SPARES = 4096;

class Segment {
  place: Place = CALLER;
  /** Which buffer of its pool, or which message. */
  buffer = -1;
  /** Where its unsent bytes start, in their block or in `source`, and how many there are. */
  offset = 0;
  length = 0;
  source: Uint8Array | null = null;
  /** Where a message lies that other sessions send, too. */
  exchange: Exchange | null = null;
  file: FileSend | null = null;
  /** What it lies in when it waited in vain for a send buffer. */
  spare: NativeBlock | null = null;
  next: Segment | null = null;
}

// Segments and the gather list are used within one call or counted by their queues, so a thread shares them.
let spare: Segment | null = null;
let spares = 0;
const pieces = new GatherList();

function makeSegment(place: Place, buffer: number, offset: number, length: number): Segment {
  const segment = spare ?? new Segment();
  if (spare !== null) {
    spare = segment.next;
    spares--;
  }
  segment.place = place;
  segment.buffer = buffer;
  segment.offset = offset;
  segment.length = length;
  segment.next = null;
  return segment;
}

export class SendQueue implements FileQueue {
  /** Bytes that wait or are in flight, but for those of files, which take no memory. */
  bytes = 0;
  /** Set when the caller has taken away what waits at the head: its ArrayBuffer was transferred, or has shrunk. */
  gone: IocpError | null = null;
  readonly #core: Core;
  #head: Segment | null = null;
  #tail: Segment | null = null;
  #inFlight: Segment | null = null;
  #bytesInFlight = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  get idle(): boolean {
    return this.bytes === 0 && this.#head === null;
  }

  /** The file that is next to be sent, or is being sent; null for none. */
  get file(): FileSend | null {
    return this.#inFlight === null && this.#head !== null ? this.#head.file : null;
  }

  /** Adds a file. */
  pushFile(file: FileSend): void {
    const segment = makeSegment(FILE, -1, 0, 0);
    segment.file = file;
    this.#append(segment);
  }

  /** Takes a file out, wherever it is. */
  dropFile(file: FileSend): void {
    let before: Segment | null = null;
    for (let segment = this.#head; segment !== null && segment.file !== file; segment = segment.next) before = segment;
    const found = before === null ? this.#head! : before.next!;
    if (before === null) this.#head = found.next;
    else before.next = found.next;
    if (this.#tail === found) this.#tail = before;
    found.next = null;
    this.#recycle(found);
  }

  /** Whether there is something that is not in flight. */
  get waits(): boolean {
    return this.#head !== null;
  }

  /**
   * Adds bytes. What is not kept without a copy, and fits a send buffer, is copied now.
   * @param length by lengthOf(). When the memory is gone all the same, nothing is added.
   */
  push(data: Uint8Array, length: number): void {
    if (length === 0 || !this.#add(data, length)) return;
    this.bytes += length;
    this.#core.statsBlock.values[QUEUED]! += length;
  }

  /** False when the memory of the bytes is gone. */
  #add(data: Uint8Array, length: number): boolean {
    // Behind bytes that were copied, a header say, it is copied too: many short pieces would take a send buffer each.
    const room = this.#roomInTail(length);
    if (room >= 0) return this.#appendToTail(data, length, room);
    const core = this.#core;
    const { port, sendBuffers } = core;
    // Most often it is the very view that onReceive was given, which starts at the start of its buffer. This check avoids
    // bufferOf(), which reads the view's memory: that is slow.
    const whole = data === borrowed.data && core === borrowed.core;
    const buffer = whole ? borrowed.buffer : port.bufferOf(data);
    if (buffer >= 0 && this.#mayKeep(buffer)) {
      port.retain(buffer);
      const offset = whole ? buffer * core.receiveStride : port.placeOf(data);
      this.#append(makeSegment(RECEIVE_BUFFER, buffer, offset, length));
      return true;
    }
    return length <= sendBuffers.size || buffer >= 0 ? this.#appendCopy(data, length) : this.#appendView(data, length);
  }

  /**
   * Adds a message of the exchange: bytes that other sessions send, too. A short one behind others is copied, as a session
   * that does not get rid of what it is sent would hold many of the exchange's messages, of which there are few: into a send
   * buffer, or else, as a long one, once for all sessions of this thread. A long one is copied when more waits already than a
   * send takes, or when other peers hold all that sends may keep.
   */
  pushMessage(exchange: Exchange, message: number, offset: number, length: number): void {
    if (length === 0) return;
    const waiting = this.bytes;
    this.bytes += length;
    this.#core.statsBlock.values[QUEUED]! += length;
    if (length > SHORT_MESSAGE && (waiting > BYTES_PER_SEND || !exchange.mayKeep(message))) {
      this.#appendSource(exchange.copyOf(message, offset, length), length);
      return;
    }
    if (length <= SHORT_MESSAGE && (waiting > 0 || this.#head !== null || !exchange.mayKeep(message))) {
      const room = this.#roomInTail(length);
      if (room >= 0) this.#appendToTail(exchange.block.bytes.subarray(offset, offset + length), length, room);
      else this.#appendSource(exchange.copyOf(message, offset, length), length);
      return;
    }
    exchange.use(message);
    const segment = makeSegment(MESSAGE, message, offset, length);
    segment.exchange = exchange;
    this.#append(segment);
  }

  /**
   * Takes what the next send gathers; null when nothing waits, when no send buffer is free (`bytes` then says that
   * something waits), or when what waits is `gone`. The list is good until the next call.
   */
  gather(): GatherList | null {
    pieces.clear();
    const { port, sendBuffers } = this.#core;
    let last: Segment | null = null;
    while (this.#head !== null && pieces.count < MAX_GATHER && pieces.bytes < BYTES_PER_SEND) {
      if (this.#head.place === FILE) break;
      // Peers that do not read would hold four buffers each, and those that read get one in 100 ms.
      if (last !== null && this.#head.place === CALLER && areShort(sendBuffers)) break;
      const segment: Segment | null = this.#head.place === CALLER ? this.#copyPiece(last === null) : this.#takeHead();
      if (segment === null) break;
      if (last === null) this.#inFlight = segment;
      else last.next = segment;
      last = segment;
      const block = segment.place === RECEIVE_BUFFER ? port.receiveBlock : sendBuffers.block;
      pieces.add(segment.exchange?.block ?? segment.spare ?? block, segment.offset, segment.length);
    }
    if (last === null) return null;
    last.next = null;
    this.#bytesInFlight = pieces.bytes;
    return pieces;
  }

  /** The send's packet is here: its buffers go back. Gives the error that the session ends with. */
  sent(bytes: number, error: IocpError | null): IocpError | null {
    const { file } = this;
    if (file !== null) {
      file.sent(bytes, error);
      if (file.over) this.dropFile(file);
      // A named pipe sends no file, and nothing of one.
      return error?.code === 'ENOTSUP' ? null : error;
    }
    this.bytes -= this.#bytesInFlight;
    this.#core.statsBlock.values[QUEUED]! -= this.#bytesInFlight;
    this.#bytesInFlight = 0;
    const list = this.#inFlight;
    this.#inFlight = null;
    this.#recycle(list);
    return error;
  }

  /** Drops what waits. What is in flight stays until sent(). */
  discard(): void {
    this.#core.statsBlock.values[QUEUED]! -= this.bytes - this.#bytesInFlight;
    this.bytes = this.#bytesInFlight;
    // A file in flight stays at the head until its packet is here.
    const kept = this.file?.inFlight ? this.#takeHead() : null;
    const list = this.#head;
    this.#head = kept;
    this.#tail = kept;
    if (kept !== null) {
      kept.next = null;
      kept.file!.abandon();
    }
    this.#recycle(list);
  }

  /**
   * Whether a send may keep a receive buffer. Other sessions cannot receive into a buffer that waits for a slow peer, so only the
   * buffer being delivered is kept, only while no send of this session is in flight, and at most half of all buffers.
   */
  #mayKeep(buffer: number): boolean {
    const { port, receiveBuffersToLend } = this.#core;
    return (
      this.#inFlight === null &&
      buffer === borrowed.buffer &&
      borrowed.core === this.#core &&
      port.stats.buffersOut <= receiveBuffersToLend
    );
  }

  #append(segment: Segment): void {
    if (this.#tail === null) this.#head = segment;
    else this.#tail.next = segment;
    this.#tail = segment;
  }

  /** Where in the last send buffer there is room for so many bytes; -1 when there is none. */
  #roomInTail(length: number): number {
    const tail = this.#tail;
    if (tail === null || tail.place !== SEND_BUFFER) return -1;
    const { sendBuffers } = this.#core;
    const used = tail.offset + tail.length - sendBuffers.offsetOf(tail.buffer);
    return used + length <= sendBuffers.size ? used : -1;
  }

  #appendToTail(data: Uint8Array, length: number, room: number): boolean {
    const tail = this.#tail!;
    if (!copyInto(this.#core.sendBuffers.bytes(tail.buffer), room, data)) return false;
    tail.length += length;
    return true;
  }

  #appendCopy(data: Uint8Array, length: number): boolean {
    const { sendBuffers } = this.#core;
    const buffer = length <= sendBuffers.size && mayWait(sendBuffers) ? sendBuffers.acquire(SENDER) : -1;
    if (buffer < 0) {
      const copy = new Uint8Array(length);
      if (!copyInto(copy, 0, data)) return false;
      this.#appendSource(copy, length);
      return true;
    }
    if (!copyInto(sendBuffers.bytes(buffer), 0, data)) {
      this.#core.releaseSendBuffer(buffer, SENDER);
      return false;
    }
    this.#append(makeSegment(SEND_BUFFER, buffer, sendBuffers.offsetOf(buffer), length));
    return true;
  }

  /** What stays the caller's is read through a view of ours, which no subclass can change. */
  #appendView(data: Uint8Array, length: number): boolean {
    let view: Uint8Array;
    try {
      view = plainView(data, length);
    } catch {
      return false;
    }
    this.#appendSource(view, length);
    return true;
  }

  /** @param data a plain view, or a copy that nobody changes. */
  #appendSource(data: Uint8Array, length: number): void {
    const segment = makeSegment(CALLER, -1, 0, length);
    segment.source = data;
    this.#append(segment);
  }

  #takeHead(): Segment {
    const segment = this.#head!;
    this.#head = segment.next;
    if (this.#head === null) this.#tail = null;
    return segment;
  }

  /**
   * Copies the next piece of a caller's bytes into a send buffer; null when none is free, nor a spare for the `first`, or
   * when the bytes are gone.
   */
  #copyPiece(first: boolean): Segment | null {
    const { sendBuffers, bufferLine } = this.#core;
    const buffer = sendBuffers.acquire(SENDER);
    const block = buffer < 0 && first ? bufferLine.takeSpare() : null;
    if (buffer < 0 && block === null) return null;
    const length = this.#fill(block === null ? sendBuffers.bytes(buffer) : block.bytes, sendBuffers.size);
    if (length === 0) {
      this.gone = new IocpError('send', 'the array that was to be sent is gone', 'EFAULT', 'send');
      if (block === null) this.#core.releaseSendBuffer(buffer, SENDER);
      else bufferLine.giveSpare(block);
      return null;
    }
    if (block === null) return makeSegment(SEND_BUFFER, buffer, sendBuffers.offsetOf(buffer), length);
    const segment = makeSegment(SPARE, -1, 0, length);
    segment.spare = block;
    return segment;
  }

  /** Copies of the callers' bytes at the head as much as there is room for. Gives how much; 0 when those at the head are gone. */
  #fill(to: Uint8Array, room: number): number {
    let filled = 0;
    for (let head = this.#head; head !== null && head.place === CALLER && filled < room; head = this.#head) {
      const length = Math.min(head.length, room - filled);
      // Else the peer would get what the buffer had before.
      if (!copyPart(to, filled, head.source!, head.offset, length)) return filled;
      filled += length;
      head.offset += length;
      head.length -= length;
      if (head.length > 0) break;
      this.#takeHead().next = null;
      this.#recycle(head);
    }
    return filled;
  }

  #recycle(list: Segment | null): void {
    const { port } = this.#core;
    for (let segment = list; segment !== null; ) {
      const { next } = segment;
      if (segment.place === RECEIVE_BUFFER) port.release(segment.buffer);
      else if (segment.place === SEND_BUFFER) this.#core.releaseSendBuffer(segment.buffer, SENDER);
      else if (segment.place === SPARE) this.#core.bufferLine.giveSpare(segment.spare!);
      else if (segment.place === MESSAGE) segment.exchange!.release(segment.buffer);
      else if (segment.place === FILE && !segment.file!.over) segment.file!.abandon();
      segment.exchange = null;
      segment.file = null;
      segment.spare = null;
      segment.source = null;
      if (spares < MOST_SPARES) {
        segment.next = spare;
        spare = segment;
        spares++;
      }
      segment = next;
    }
  }
}

/** Copies a part of a plain array; false when it does not have it any more. */
function copyPart(to: Uint8Array, at: number, from: Uint8Array, start: number, length: number): boolean {
  try {
    const part = from.subarray(start, start + length);
    if (lengthOf(part) !== length) return false;
    to.set(part, at);
    return true;
  } catch {
    return false;
  }
}
