// SharedHost: the calls that any thread of a server has for its shared sessions: send, tell, end. Threads that run handlers add to it
// (shared-thread.ts).

import {
  copyInto,
  lengthOf,
  plainView,
  Ready,
  type SharedSockets,
  type SocketPort,
} from '@overlapped/iocp-native/internal';
import type { SharedSessions } from '@overlapped/net-core';
import { StatsBlock } from '@overlapped/net-core/internal';
import { bytesOf, plainBytesOf } from '../bytes.js';
import type { Framer } from '../framing/framer.js';
import { EVERYONE } from '../session/groups.js';
import { Stat } from '../stats.js';
import { Beyond, Due, Field, Flag, Reason, ServiceField, type SharedTable } from './table.js';

/** The first number of a posted packet that has a thread load a service, the second number. No record has this number. */
export const HOST = 0xfffffffd;

const LENGTH_SIZE = 4;
/** Frames of so many bytes are put together in memory that is used again. */
const SCRATCH = 16_384;

export class SharedHost implements SharedSessions {
  readonly table: SharedTable;
  /** The statistics of this thread. */
  statsBlock = new StatsBlock();
  readonly port: SocketPort;
  readonly sockets: SharedSockets;
  readonly #header = new Uint8Array(LENGTH_SIZE);
  readonly #length = new DataView(this.#header.buffer);
  #scratch: Buffer | null = null;
  /** The view of the last frame in it: frames of equal length get the same object. */
  #frame: Buffer | null = null;

  constructor(table: SharedTable, port: SocketPort, sockets: SharedSockets) {
    this.table = table;
    this.port = port;
    this.sockets = sockets;
  }

  send(id: number, data: Uint8Array | string): boolean {
    const bytes = bytesOf(data);
    const slot = this.table.slotOf(id);
    return slot >= 0 && this.sendTo(slot, id, bytes);
  }

  tell(id: number, message: Uint8Array | string): boolean {
    const bytes = bytesOf(message);
    const { table } = this;
    const slot = table.slotOf(id);
    if (slot < 0) return false;
    const at = table.at(slot);
    table.lock(slot);
    const told =
      table.idOf(slot) === id && (table.words[at + Field.Flags]! & Flag.Open) !== 0 && this.#append(slot, bytes);
    // Inside the lock: if this thread ends before it wakes another one, the bit says that there is a message.
    if (told) Atomics.or(table.words, at + Field.Pending, Due.Message);
    table.unlock(slot);
    if (told) this.wake(slot, Due.Message);
    return told;
  }

  /** Sends, if `id` still names the session of the record. */
  sendTo(slot: number, id: number, bytes: Uint8Array): boolean {
    const { table } = this;
    const at = table.at(slot);
    table.lock(slot);
    const flags = table.words[at + Field.Flags]!;
    const open = (flags & (Flag.Open | Flag.Ending | Flag.Closing)) === Flag.Open && table.idOf(slot) === id;
    const sent = open && this.#send(slot, at, bytes);
    table.unlock(slot);
    return sent;
  }

  /** Sends a frame in one piece: other threads may send to the same session. */
  sendFrame(slot: number, id: number, framer: Framer, body: Uint8Array): boolean {
    const header = framer.header(body);
    const trailer = framer.trailer(body);
    const length = lengthOf(body);
    const total = header.length + length + trailer.length;
    if (total > SCRATCH) return this.sendTo(slot, id, Buffer.concat([header, plainView(body, length), trailer]));
    this.#scratch ??= Buffer.allocUnsafeSlow(SCRATCH);
    const scratch = this.#scratch;
    scratch.set(header);
    // False if the caller's memory has been taken away since it was measured.
    if (!copyInto(scratch, header.length, body)) return false;
    scratch.set(trailer, header.length + length);
    if (this.#frame?.length !== total) this.#frame = scratch.subarray(0, total);
    return this.sendTo(slot, id, this.#frame);
  }

  /** In the turn of the session. */
  join(slot: number, group: string): void {
    const open = (this.table.words[this.table.at(slot) + Field.Flags]! & Flag.Open) !== 0;
    if (group === EVERYONE) this.#standAside(slot, false);
    else if (open) this.table.groups.join(slot, group);
  }

  /** In the turn of the session. */
  leave(slot: number, group: string): void {
    if (group === EVERYONE) this.#standAside(slot, true);
    else this.table.groups.leave(slot, group);
  }

  broadcast(data: Uint8Array | string, group: string): boolean {
    const { table } = this;
    const bytes = plainBytesOf(data);
    if (group === EVERYONE) {
      for (let slot = 0; slot < table.used; slot++) this.#sendToMember(slot, table.generation(slot), bytes, Flag.Aside);
      return true;
    }
    const { groups } = table;
    groups.list(group);
    for (let slot = groups.nextMember(0); slot >= 0; slot = groups.nextMember(slot + 1)) {
      this.#sendToMember(slot, groups.generation(slot), bytes, 0);
    }
    return true;
  }

  /** Bytes that wait to be sent. */
  queued(slot: number): number {
    return this.table.queues.lengthOf(this.table.at(slot) + Field.Sends);
  }

  /** Sends the queued bytes, then ends the direction to the peer. */
  end(slot: number, id: number): void {
    const { table } = this;
    const at = table.at(slot);
    table.lock(slot);
    if (table.idOf(slot) === id && (table.words[at + Field.Flags]! & Flag.Open) !== 0) {
      table.words[at + Field.Flags]! |= Flag.Ending;
      if (!this.ending(slot, at) && this.queued(slot) === 0) this.#drained(slot, at);
    }
    table.unlock(slot);
  }

  /** Ends a session at once, for a number of Reason or an errno. Inside a turn of that session, the turn's end does the rest. */
  close(slot: number, id: number, reason: number): void {
    const { table } = this;
    const at = table.at(slot);
    table.lock(slot);
    const open = table.idOf(slot) === id && (table.words[at + Field.Flags]! & (Flag.Open | Flag.Header)) !== 0;
    if (open) this.#close(slot, at, reason);
    table.unlock(slot);
  }

  /** Has a thread take a turn of the session, for a bit of Due. False if the port takes no packet now, and the session has no socket. */
  wake(slot: number, due: number): boolean {
    const { words } = this.table;
    const at = this.table.at(slot);
    Atomics.or(words, at + Field.Pending, due);
    // The thread that has the turn looks at the bits when it has given the turn up.
    if (Atomics.load(words, at + Field.Turn) !== 0) return true;
    if (this.port.post(slot, this.table.generation(slot))) return true;
    // A packet of the socket does as well.
    const fd = words[at + Field.Socket]! - 1;
    if (fd >= 0) this.port.wake(fd, slot, this.table.generation(slot));
    return fd >= 0;
  }

  /** Inside the lock of the listening socket, if there is one still: has a thread take the next connection. */
  armListener(service: number): void {
    const { words } = this.table;
    const at = this.table.serviceAt(service);
    const listener = words[at + ServiceField.Listener]! - 1;
    if (listener >= 0 && this.port.armListener(listener, service) !== 0)
      Atomics.add(words, at + ServiceField.Failed, 1);
  }

  /** Inside the record's lock: watches the socket for the events that the session waits for. */
  arm(slot: number): void {
    const { words, queues, block } = this.table;
    const at = this.table.at(slot);
    const fd = words[at + Field.Socket]! - 1;
    if (fd < 0) return;
    const flags = words[at + Field.Flags]!;
    const reads = words[at + Field.Turn] === 0 && (flags & (Flag.PeerEnded | Flag.Closing | Flag.Throttled)) === 0;
    const length = queues.headLength(at + Field.Sends);
    const ready = (reads ? Ready.Read : 0) | (length > 0 ? Ready.Write : 0);
    if (ready === 0) return;
    const address = length > 0 ? block.address + queues.headOffset(at + Field.Sends) : 0;
    const failed = this.port.arm(fd, ready, slot, this.table.generation(slot), address, length);
    if (failed !== 0) this.#close(slot, at, failed);
  }

  /** Inside the record's lock: the session begins to end in order. True if it is reset instead. */
  protected ending(slot: number, at: number): boolean {
    const { words } = this.table;
    if (words[this.table.serviceAt(words[at + Field.Service]!) + ServiceField.NoLinger] === 0) return false;
    this.#close(slot, at, Reason.Destroyed);
    return true;
  }

  /** The socket is writable: sends the queued bytes, as far as the kernel takes them. Bytes that it has sent by itself are no longer queued. */
  protected flush(slot: number): void {
    const { table } = this;
    const { words, queues } = table;
    const at = table.at(slot);
    const queue = at + Field.Sends;
    table.lock(slot);
    const fd = words[at + Field.Socket]! - 1;
    const { sent: before } = this.port;
    if (before > 0) {
      words[at + Field.Sent]! += before;
      this.#count(before);
      // The queue of a session that lost a thread in this lock is empty.
      queues.consume(queue, Math.min(before, queues.lengthOf(queue)));
    } else if (before < 0) {
      this.#close(slot, at, -before);
    }
    this.port.done();
    for (let left = queues.lengthOf(queue); left > 0 && fd >= 0 && before >= 0; left = queues.lengthOf(queue)) {
      const length = queues.headLength(queue);
      const sent = this.sockets.sendBlock(fd, table.block, queues.headOffset(queue), length);
      if (sent < 0) {
        this.#close(slot, at, -sent);
        break;
      }
      words[at + Field.Sent]! += sent;
      this.#count(sent);
      if (sent > 0) queues.consume(queue, sent);
      if (sent < length) break;
    }
    table.countSends(at);
    const left = queues.lengthOf(queue);
    const service = table.serviceAt(words[at + Field.Service]!);
    const waiting = words[at + Field.Flags]! & (Flag.Congested | Flag.Throttled);
    if (waiting !== 0 && left <= words[service + ServiceField.LowWatermark]!) {
      words[at + Field.Flags]! &= ~(Flag.Congested | Flag.Throttled);
      if ((waiting & Flag.Congested) !== 0) Atomics.or(words, at + Field.Pending, Due.Drain);
      // Frames may wait that have arrived already.
      if ((waiting & Flag.Throttled) !== 0) Atomics.or(words, at + Field.Pending, Due.Read);
    }
    if (left === 0 && fd >= 0) this.#drained(slot, at);
    table.unlock(slot);
  }

  #standAside(slot: number, aside: boolean): void {
    const { table } = this;
    const flags = table.at(slot) + Field.Flags;
    table.lock(slot);
    if (aside) table.words[flags]! |= Flag.Aside;
    else table.words[flags]! &= ~Flag.Aside;
    table.unlock(slot);
  }

  /** Sends a message of a group, unless the session has one of these flags, or is over, or slow. */
  #sendToMember(slot: number, generation: number, bytes: Uint8Array, flag: number): void {
    const { table } = this;
    const { words } = table;
    const at = table.at(slot);
    table.lock(slot);
    const flags = words[at + Field.Flags]!;
    const takes = (flags & (Flag.Open | Flag.Ending | Flag.Closing | flag)) === Flag.Open;
    if (takes && table.generation(slot) === generation && !this.#passesOver(slot, at, bytes.length)) {
      this.#send(slot, at, bytes, false);
      // onDrain follows a send() of the session that returned false, and no broadcast.
      if ((flags & Flag.Congested) === 0) words[at + Field.Flags]! &= ~Flag.Congested;
    }
    table.unlock(slot);
  }

  /** Whether the session is too slow for a message of so many bytes. It may be closed for it. */
  #passesOver(slot: number, at: number, length: number): boolean {
    const { words, queues } = this.table;
    const service = this.table.serviceAt(words[at + Field.Service]!);
    const queued = queues.lengthOf(at + Field.Sends);
    const slow = queued > words[service + ServiceField.HighWatermark]! || !this.#admits(service, queued, length);
    if (!slow) return false;
    this.statsBlock.values[Stat.skipped]!++;
    if (words[service + ServiceField.ClosesSlow] === 1) this.#close(slot, at, Reason.TooSlow);
    return true;
  }

  /** Whether a session that has `queued` bytes may queue `more`. @param service the first word of its service */
  #admits(service: number, queued: number, more: number): boolean {
    const { words } = this.table;
    const perSession = words[service + ServiceField.PerSession]!;
    const inAll = words[service + ServiceField.InAll]!;
    return (perSession === 0 || queued + more <= perSession) && (inAll === 0 || this.table.queuedInAll + more <= inAll);
  }

  /** @param limited whether the queue's limits apply */
  #send(slot: number, at: number, bytes: Uint8Array, limited = true): boolean {
    const { table } = this;
    const { words, queues } = table;
    const queue = at + Field.Sends;
    const length = lengthOf(bytes);
    const before = queues.lengthOf(queue);
    const service = table.serviceAt(words[at + Field.Service]!);
    const beyond = words[service + ServiceField.Beyond]!;
    // The kernel could take a part of a message, which is no message any more.
    if (limited && beyond === Beyond.drop && !this.#admits(service, before, length)) {
      this.statsBlock.values[Stat.droppedMessages]!++;
      if (before === 0) this.wake(slot, Due.Drain);
      else words[at + Field.Flags]! |= Flag.Congested;
      return false;
    }
    let sent = 0;
    if (before === 0) {
      sent = this.sockets.send(words[at + Field.Socket]! - 1, bytes, length);
      if (sent < 0) {
        this.#close(slot, at, -sent);
        return false;
      }
      words[at + Field.Sent]! += sent;
      this.#count(sent);
      if (sent === length) return true;
    }
    const rest = sent === 0 ? bytes : plainView(bytes, length).subarray(sent);
    const queued = before + length - sent;
    const full = limited && beyond !== Beyond.drop && !this.#admits(service, before, length - sent);
    if ((full && beyond === Beyond.close) || !queues.append(queue, slot + 1, rest)) {
      this.statsBlock.values[Stat.overflowed]!++;
      this.#close(slot, at, Reason.QueueFull);
      return false;
    }
    table.countSends(at);
    if (full) words[at + Field.Flags]! |= Flag.Throttled;
    if (before === 0) this.arm(slot);
    if (queued <= words[service + ServiceField.HighWatermark]!) return true;
    words[at + Field.Flags]! |= Flag.Congested;
    return false;
  }

  #count(sent: number): void {
    this.statsBlock.values[Stat.bytesSent]! += sent;
  }

  /** The queue is empty. */
  #drained(slot: number, at: number): void {
    const { words } = this.table;
    const flags = words[at + Field.Flags]!;
    // It is reset. A queue that was lost with a thread is empty, too, and its peer is to see no end in order.
    if ((flags & Flag.Closing) !== 0) return;
    const bothEnd = (flags & (Flag.PeerEnded | Flag.Ending)) === (Flag.PeerEnded | Flag.Ending);
    if (bothEnd || (flags & Flag.Finishing) !== 0) {
      this.wake(slot, Due.Close);
    } else if ((flags & (Flag.Ending | Flag.Ended)) === Flag.Ending) {
      words[at + Field.Flags]! |= Flag.Ended;
      this.sockets.end(words[at + Field.Socket]! - 1);
    }
  }

  #close(slot: number, at: number, reason: number): void {
    const { words } = this.table;
    if ((words[at + Field.Flags]! & Flag.Closing) !== 0) return;
    words[at + Field.Flags]! |= Flag.Closing | Flag.Reset;
    words[at + Field.Reason] = reason;
    if (Atomics.load(words, at + Field.Turn) !== this.table.self) this.wake(slot, Due.Close);
    else Atomics.or(words, at + Field.Pending, Due.Close);
  }

  /** A message is its length, and its bytes. */
  #append(slot: number, bytes: Uint8Array): boolean {
    const { queues } = this.table;
    const queue = this.table.at(slot) + Field.Messages;
    const length = lengthOf(bytes);
    this.#length.setUint32(0, length, true);
    const message = new Uint8Array(LENGTH_SIZE + length);
    message.set(this.#header);
    message.set(plainView(bytes, length), LENGTH_SIZE);
    return queues.append(queue, slot + 1, message);
  }

  /** Takes the oldest message; null when there is none. */
  protected takeMessage(slot: number): Buffer | null {
    const { table } = this;
    const queue = table.at(slot) + Field.Messages;
    table.lock(slot);
    let message: Buffer | null = null;
    if (table.queues.lengthOf(queue) > 0) message = this.#take(queue, this.#take(queue, LENGTH_SIZE).readUInt32LE(0));
    table.unlock(slot);
    return message;
  }

  /** Inside the lock: removes bytes from a queue, and gives a copy. */
  #take(queue: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(length);
    this.table.queues.read(queue, bytes);
    return bytes;
  }
}
