// SendQueue: the bytes that a session has to send, in order. One send operation gathers as many queued segments as it can.
//
//   head -> segment -> segment -> tail        queued
//   inFlight -> segment -> segment            used by the kernel: must not change until the send's packet has come
//
// A segment's bytes lie in a receive buffer (borrowed bytes, kept without a copy), in a send buffer (a copy), in an overflow block
// (a copy, made if no send buffer was free for too long), in a shared message (a broadcast, which many sessions send), or in the
// caller's own memory (an array larger than a send buffer). A port that sends directly reads that memory when the send starts, and
// takes as much as the kernel has room for. For other ports it is copied piece by piece as it is sent. A file is a segment without
// bytes; it is sent by an operation of its own when it is at the head of the queue.

import { GatherList, IocpError, MAX_GATHER, type NativeBlock } from '@overlapped/iocp-native';
import { byteOffsetOf, copyInto, lengthOf, memoryOf, plainView } from '@overlapped/iocp-native/internal';
import type { Core, SharedMessages } from '@overlapped/net-core/internal';
import type { BufferPool } from '@overlapped/object-pool';
import { borrowed } from '../borrowed.js';
import { SENDER } from '../sender.js';
import { Stat } from '../stats.js';
import type { TlsEngine } from '../tls/engine.js';
import type { FileQueue, FileSend } from './file-send.js';

/** Limit of one send's bytes: one session must not take all send buffers. */
const BYTES_PER_SEND = 65536;

/** Limit of the bytes that a direct send offers to the kernel, so that a session does not keep the thread for long. */
const BYTES_PER_DIRECT_SEND = 1 << 20;

/** A queued message of up to this many bytes is copied: that costs less than keeping a shared message. */
const SHORT_MESSAGE = 4096;

/**
 * Whether queued bytes may take a send buffer. The last 1/16 of the pool is reserved for sends that start now. Otherwise all
 * buffers could be held by bytes queued behind a send that needs one (deadlock).
 */
function mayQueue({ out, capacity }: BufferPool): boolean {
  return out < capacity - (capacity >> 4) - 1;
}

/** Whether few buffers are free. Then a send of a caller's bytes takes one buffer only. */
function areShort({ out, capacity }: BufferPool): boolean {
  return out > capacity >> 1;
}

/** Index of the core's counter. */
const QUEUED = Stat.bytesQueued;

const RECEIVE_BUFFER = 0;
const SEND_BUFFER = 1;
const CALLER = 2;
const MESSAGE = 3;
const FILE = 4;
const OVERFLOW = 5;
type Place =
  | typeof RECEIVE_BUFFER
  | typeof SEND_BUFFER
  | typeof CALLER
  | typeof MESSAGE
  | typeof FILE
  | typeof OVERFLOW;

/** Limit of unused segments that are kept. Peers that do not read can have many segments. */
const MAX_FREE = 4096;

/** Marks a segment whose bytes are encrypted already. */
const SEALED = new Uint8Array(0);

class Segment {
  place: Place = CALLER;
  /** Index of the buffer in its pool, or number of the shared message. */
  buffer = -1;
  /** Offset of the unsent bytes in their block or in `source`, and their number. */
  offset = 0;
  length = 0;
  source: Uint8Array | null = null;
  /** The shared messages, of which this is one; null for other bytes. */
  messages: SharedMessages | null = null;
  file: FileSend | null = null;
  /** The overflow block that the bytes lie in, if no send buffer was free. */
  overflow: NativeBlock | null = null;
  next: Segment | null = null;
}

// All queues of a thread share the unused segments, and the lists of the next send, which are valid only within one call.
let free: Segment | null = null;
let freeCount = 0;
const pieces = new GatherList();
/** The callers' arrays that the next send offers to the kernel behind its pieces: those at the head of the queue. */
const offered: Uint8Array[] = [];

function makeSegment(place: Place, buffer: number, offset: number, length: number): Segment {
  const segment = free ?? new Segment();
  if (free !== null) {
    free = segment.next;
    freeCount--;
  }
  segment.place = place;
  segment.buffer = buffer;
  segment.offset = offset;
  segment.length = length;
  segment.next = null;
  return segment;
}

export class SendQueue implements FileQueue {
  /** Bytes queued or in flight. Bytes of files are not counted: they take no memory. */
  bytes = 0;
  /** Set if the bytes at the head are lost: the caller has detached or shrunk their ArrayBuffer. */
  gone: IocpError | null = null;
  readonly #core: Core;
  #head: Segment | null = null;
  #tail: Segment | null = null;
  #inFlight: Segment | null = null;
  #bytesInFlight = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Valid until the next call of gather(). */
  get offered(): readonly Uint8Array[] {
    return offered;
  }

  get idle(): boolean {
    return this.bytes === 0 && this.#head === null;
  }

  /** The file at the head, which is being sent or is next; else null. */
  get file(): FileSend | null {
    return this.#inFlight === null && this.#head !== null ? this.#head.file : null;
  }

  /** Queues a file. */
  pushFile(file: FileSend): void {
    const segment = makeSegment(FILE, -1, 0, 0);
    segment.file = file;
    this.#append(segment);
  }

  /** Removes a file from any position. */
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

  /** Whether something is queued that is not in flight. */
  get waits(): boolean {
    return this.#head !== null;
  }

  /**
   * Queues bytes. Bytes that fit a send buffer are copied now, unless their receive buffer is kept.
   * @param length from lengthOf(). If the memory is detached all the same, nothing is queued.
   */
  push(data: Uint8Array, length: number): void {
    if (length === 0 || !this.#add(data, length)) return;
    this.bytes += length;
    this.#core.statsBlock.values[QUEUED]! += length;
  }

  /** push() for a TLS connection, whose bytes are encrypted in a send buffer: no receive buffer is kept. */
  pushCopy(data: Uint8Array, length: number): void {
    if (length === 0) return;
    const at = this.#freeInTail(length);
    const lent = borrowed.data !== null && memoryOf(data) === memoryOf(borrowed.data);
    const copied = lent || length <= this.#core.sendBuffers.size || this.#core.port.bufferOf(data) >= 0;
    const added =
      at >= 0
        ? this.#appendToTail(data, length, at)
        : copied
          ? this.#appendCopy(data, length)
          : this.#appendView(data, length);
    if (!added) return;
    this.bytes += length;
    this.#core.statsBlock.values[QUEUED]! += length;
  }

  /** False if the memory of the bytes is detached. */
  #add(data: Uint8Array, length: number): boolean {
    // Bytes behind copied ones (a header) are copied into the same send buffer: many short pieces would need a buffer each.
    const at = this.#freeInTail(length);
    if (at >= 0) return this.#appendToTail(data, length, at);
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
   * Queues a shared message, which other sessions send too. There are few of them, and a slow session must not keep many. So a short
   * message that the next send does not take is copied: into a send buffer, or else once for all sessions of this thread. A long
   * message is copied (once for this thread) if more bytes are queued than one send takes. Both are if other sessions keep as many as
   * sends may.
   */
  pushMessage(messages: SharedMessages, message: number, offset: number, length: number): void {
    if (length === 0) return;
    const waiting = this.bytes;
    this.bytes += length;
    this.#core.statsBlock.values[QUEUED]! += length;
    if (length > SHORT_MESSAGE && (waiting > BYTES_PER_SEND || !messages.mayKeep(message))) {
      this.#appendSource(messages.copyOf(message, offset, length), length);
      return;
    }
    if (length <= SHORT_MESSAGE && (!this.#gathersAll || !messages.mayKeep(message))) {
      const at = this.#freeInTail(length);
      if (at >= 0) this.#appendToTail(messages.block.bytes.subarray(offset, offset + length), length, at);
      else this.#appendSource(messages.copyOf(message, offset, length), length);
      return;
    }
    messages.retain(message);
    const segment = makeSegment(MESSAGE, message, offset, length);
    segment.messages = messages;
    this.#append(segment);
  }

  /** Whether no send is in flight, and the next one takes all that is queued, and a piece more. */
  get #gathersAll(): boolean {
    if (this.#bytesInFlight > 0) return false;
    let count = 0;
    for (let segment = this.#head; segment !== null; segment = segment.next) {
      if (segment.place === CALLER || segment.place === FILE || ++count === MAX_GATHER) return false;
    }
    return this.bytes < BYTES_PER_SEND;
  }

  /**
   * Takes the segments of the next send. Null if nothing is queued, if no send buffer is free (then `bytes` is above 0), or if
   * the bytes at the head are lost (`gone`). The list is valid until the next call. If `offered` has arrays then, the caller must
   * send them directly behind the list, and say how many of their bytes were taken.
   */
  gather(): GatherList | null {
    // To set the length of an array is a call of V8's runtime, also if it is 0 already.
    if (offered.length > 0) offered.length = 0;
    pieces.clear();
    const { port, sendBuffers } = this.#core;
    let last: Segment | null = null;
    while (this.#head !== null && pieces.count < MAX_GATHER && pieces.bytes < BYTES_PER_SEND) {
      if (this.#head.place === FILE) break;
      if (this.#head.place === CALLER && port.sendsDirectly) {
        this.#offer();
        break;
      }
      // Otherwise peers that do not read hold four buffers each, and peers that read get an overflow block every 100 ms.
      if (last !== null && this.#head.place === CALLER && areShort(sendBuffers)) break;
      const segment: Segment | null = this.#head.place === CALLER ? this.#copyPiece(last === null) : this.#takeHead();
      if (segment === null) break;
      if (last === null) this.#inFlight = segment;
      else last.next = segment;
      last = segment;
      const block = segment.place === RECEIVE_BUFFER ? port.receiveBlock : sendBuffers.block;
      pieces.add(segment.messages?.block ?? segment.overflow ?? block, segment.offset, segment.length);
    }
    if (last !== null) last.next = null;
    this.#bytesInFlight = pieces.bytes;
    return last === null && offered.length === 0 ? null : pieces;
  }

  /** The kernel has taken so many of the offered bytes. Their send is in flight until its packet has come. */
  took(bytes: number): void {
    offered.length = 0;
    this.#bytesInFlight += bytes;
    let left = bytes;
    while (left > 0) {
      const head = this.#head!;
      const taken = Math.min(left, head.length);
      left -= taken;
      head.offset += taken;
      head.length -= taken;
      if (head.length > 0) return;
      this.#takeHead().next = null;
      this.#recycle(head);
    }
  }

  /** Offers the arrays at the head, as far as the limits of one send go. If the first one is lost, none is offered. */
  #offer(): void {
    let left = BYTES_PER_DIRECT_SEND;
    let segment = this.#head;
    while (segment?.place === CALLER && left > 0 && pieces.count + offered.length < MAX_GATHER) {
      const length = Math.min(segment.length, left);
      const part = partOf(segment.source!, segment.offset, length);
      if (part === null) {
        if (offered.length === 0) this.gone = arrayGone();
        return;
      }
      offered.push(part);
      left -= length;
      segment = segment.next;
    }
  }

  /**
   * gather() for a TLS connection: bytes are encrypted in their send buffers. Records of the connection's own go first.
   * Throws an IocpError of the engine.
   */
  gatherSealed(tls: TlsEngine): GatherList | null {
    pieces.clear();
    this.#bytesInFlight = 0;
    let last: Segment | null = null;
    while (pieces.count < MAX_GATHER && pieces.bytes < BYTES_PER_SEND) {
      const segment = this.#nextSealed(tls, last === null);
      if (segment === null) break;
      if (last === null) this.#inFlight = segment;
      else last.next = segment;
      segment.next = null;
      last = segment;
      try {
        if (segment.source !== SEALED) {
          if (segment.file === null) this.#bytesInFlight += segment.length;
          this.#seal(tls, segment);
        }
      } catch (error) {
        this.#dropInFlight();
        throw error;
      }
      segment.source = null;
      segment.file = null;
      const { block, size } = this.#core.sendBuffers;
      pieces.add(segment.overflow ?? block, segment.offset, segment.length);
      if (segment.length < size || tls.output !== null) continue;
      const rest = this.#drainRest(tls);
      if (rest === null) continue;
      last.next = rest;
      last = rest;
      pieces.add(block, rest.offset, rest.length);
    }
    if (last !== null) last.next = null;
    return last === null ? null : pieces;
  }

  /** The bytes that are sent next, in a send buffer or an overflow block, which it fills from the start. Null if there is nothing, or no buffer. */
  #nextSealed(tls: TlsEngine, first: boolean): Segment | null {
    if (tls.output !== null) return this.#copyOutput(tls, first);
    const head = this.#head;
    if (head === null || tls.failed) return null;
    if (head.place === SEND_BUFFER) return this.#takeHead();
    if (head.file === null) return this.#copyPiece(first, true);
    const { chunk } = head.file;
    if (chunk === null) return null;
    const segment = this.#copied(chunk, first);
    if (segment === null) return null;
    head.file.seal(segment.length);
    segment.file = head.file;
    return segment;
  }

  /** Encrypts a segment in its place. If it fills its buffer, there may be more: see #drainRest(). */
  #seal(tls: TlsEngine, segment: Segment): void {
    const { sendBuffers } = this.#core;
    const bytes = segment.overflow === null ? sendBuffers.bytes(segment.buffer) : segment.overflow.bytes;
    tls.write(bytes, segment.length);
    segment.length = tls.drain(bytes);
  }

  /**
   * A full send buffer is more than one when it is encrypted: the rest goes into a send buffer of its own. Without a free one, or
   * without room in the list, it follows as the engine's output. Null then, and if there is no rest.
   */
  #drainRest(tls: TlsEngine): Segment | null {
    const { sendBuffers } = this.#core;
    const buffer = pieces.count < MAX_GATHER ? sendBuffers.acquire(SENDER) : -1;
    if (buffer < 0) {
      tls.drainRest();
      return null;
    }
    const length = tls.drain(sendBuffers.bytes(buffer));
    if (length === sendBuffers.size) tls.drainRest();
    if (length > 0) return makeSegment(SEND_BUFFER, buffer, sendBuffers.offsetOf(buffer), length);
    this.#core.releaseSendBuffer(buffer, SENDER);
    return null;
  }

  /** Copies the engine's own records into a send buffer, or an overflow block. */
  #copyOutput(tls: TlsEngine, first: boolean): Segment | null {
    const output = tls.output!;
    const segment = this.#copied(output, first);
    if (segment === null) return null;
    tls.output = segment.length < output.length ? output.subarray(segment.length) : null;
    segment.source = SEALED;
    return segment;
  }

  /** As many bytes as a send buffer, or an overflow block, takes. Null if neither is available. */
  #copied(bytes: Uint8Array, first: boolean): Segment | null {
    const { sendBuffers, bufferWaiters } = this.#core;
    const buffer = sendBuffers.acquire(SENDER);
    const block = buffer < 0 && first ? bufferWaiters.takeOverflow() : null;
    if (buffer < 0 && block === null) return null;
    const length = Math.min(bytes.length, sendBuffers.size);
    (block === null ? sendBuffers.bytes(buffer) : block.bytes).set(bytes.subarray(0, length));
    const segment = makeSegment(
      block === null ? SEND_BUFFER : OVERFLOW,
      buffer,
      block === null ? sendBuffers.offsetOf(buffer) : 0,
      length,
    );
    segment.overflow = block;
    return segment;
  }

  /** Plain bytes of the send in flight. */
  get plainInFlight(): number {
    return this.#bytesInFlight + (this.#head?.file?.sealed ?? 0);
  }

  /** The send has completed: releases its buffers. Returns the error that ends the session, or null. */
  sent(bytes: number, error: IocpError | null): IocpError | null {
    const { file } = this;
    if (file !== null) {
      file.sent(bytes, error);
      if (file.over) this.dropFile(file);
      // ENOTSUP: a named pipe cannot send files. Nothing of the file was sent, so the session goes on.
      return error?.code === 'ENOTSUP' ? null : error;
    }
    this.#dropInFlight();
    const encrypted = this.#head === null ? null : this.#head.file;
    if (encrypted !== null && encrypted.sealed > 0) {
      encrypted.sent(encrypted.sealed, error);
      if (encrypted.over) this.dropFile(encrypted);
    }
    return error;
  }

  #dropInFlight(): void {
    this.bytes -= this.#bytesInFlight;
    this.#core.statsBlock.values[QUEUED]! -= this.#bytesInFlight;
    this.#bytesInFlight = 0;
    const list = this.#inFlight;
    this.#inFlight = null;
    this.#recycle(list);
  }

  /** Drops queued segments. Those in flight stay until sent(). */
  discard(): void {
    this.#core.statsBlock.values[QUEUED]! -= this.bytes - this.#bytesInFlight;
    this.bytes = this.#bytesInFlight;
    // A file in flight stays at the head until its packet has come.
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
    const { port, maxKeptReceiveBuffers } = this.#core;
    return (
      this.#inFlight === null &&
      buffer === borrowed.buffer &&
      borrowed.core === this.#core &&
      port.stats.buffersOut <= maxKeptReceiveBuffers
    );
  }

  #append(segment: Segment): void {
    if (this.#tail === null) this.#head = segment;
    else this.#tail.next = segment;
    this.#tail = segment;
  }

  /** The offset in the last send buffer at which `length` bytes are free, or -1. */
  #freeInTail(length: number): number {
    const tail = this.#tail;
    if (tail === null || tail.place !== SEND_BUFFER) return -1;
    const { sendBuffers } = this.#core;
    const used = tail.offset + tail.length - sendBuffers.offsetOf(tail.buffer);
    return used + length <= sendBuffers.size ? used : -1;
  }

  #appendToTail(data: Uint8Array, length: number, at: number): boolean {
    const tail = this.#tail!;
    if (!copyInto(this.#core.sendBuffers.bytes(tail.buffer), at, data)) return false;
    tail.length += length;
    return true;
  }

  #appendCopy(data: Uint8Array, length: number): boolean {
    const { sendBuffers } = this.#core;
    const buffer = length <= sendBuffers.size && mayQueue(sendBuffers) ? sendBuffers.acquire(SENDER) : -1;
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

  /** The caller's memory is read through a plain view made here, since a subclass of Uint8Array may misreport its position. */
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

  /** @param data a plain view, or a copy that does not change */
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
   * Copies the next piece of a caller's bytes (of a TLS connection: or of a shared message) into a send buffer, or the `first`
   * piece into an overflow block. Null if neither is available, or if the bytes are lost.
   */
  #copyPiece(first: boolean, messages = false): Segment | null {
    const { sendBuffers, bufferWaiters } = this.#core;
    const buffer = sendBuffers.acquire(SENDER);
    const block = buffer < 0 && first ? bufferWaiters.takeOverflow() : null;
    if (buffer < 0 && block === null) return null;
    const length = this.#fill(block === null ? sendBuffers.bytes(buffer) : block.bytes, sendBuffers.size, messages);
    if (length === 0) {
      this.gone = arrayGone();
      if (block === null) this.#core.releaseSendBuffer(buffer, SENDER);
      else bufferWaiters.releaseOverflow(block);
      return null;
    }
    if (block === null) return makeSegment(SEND_BUFFER, buffer, sendBuffers.offsetOf(buffer), length);
    const segment = makeSegment(OVERFLOW, -1, 0, length);
    segment.overflow = block;
    return segment;
  }

  /** Copies bytes from the head, up to `limit` bytes. Returns the number; 0 if the bytes at the head are lost. */
  #fill(to: Uint8Array, limit: number, messages: boolean): number {
    let filled = 0;
    for (let head = this.#head; head !== null && filled < limit; head = this.#head) {
      const source = head.place === CALLER ? head.source : messages ? (head.messages?.block.bytes ?? null) : null;
      if (source === null) break;
      const length = Math.min(head.length, limit - filled);
      // Stop here, or the peer would get the old bytes of the buffer.
      if (!copyPart(to, filled, source, head.offset, length)) return filled;
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
      else if (segment.place === OVERFLOW) this.#core.bufferWaiters.releaseOverflow(segment.overflow!);
      else if (segment.place === MESSAGE) segment.messages!.release(segment.buffer);
      else if (segment.place === FILE && !segment.file!.over) segment.file!.abandon();
      segment.messages = null;
      segment.file = null;
      segment.overflow = null;
      segment.source = null;
      if (freeCount < MAX_FREE) {
        segment.next = free;
        free = segment;
        freeCount++;
      }
      segment = next;
    }
  }
}

/** Copies a part of a plain array; false if the array no longer has that part. */
function copyPart(to: Uint8Array, at: number, from: Uint8Array, start: number, length: number): boolean {
  const part = partOf(from, start, length);
  return part !== null && copyInto(to, at, part);
}

/** A part of a plain array; null if the array no longer has that part. */
function partOf(from: Uint8Array, start: number, length: number): Uint8Array | null {
  if (lengthOf(from) < start + length) return null;
  try {
    return new Uint8Array(memoryOf(from), byteOffsetOf(from) + start, length);
  } catch {
    return null;
  }
}

function arrayGone(): IocpError {
  return new IocpError('send', 'the array that was to be sent is gone', 'EFAULT', 'send');
}
