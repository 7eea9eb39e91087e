// A socket of an epoll port: its known readiness, and the operations that wait for it.

import { isPipe } from '../../contract/endpoint.js';
import {
  type CompletionPacket,
  type Endpoint,
  Operation,
  type Overlapped,
  type PipeEndpoint,
} from '../../contract/port.js';
import { disown, Owned } from '../../native/ledger.js';
import type { DatagramState } from '../../port/datagrams.js';
import type { Port } from '../../port/port.js';
import type { Kind } from '../../port/socket.js';
import { SocketFile } from '../../port/socket-file.js';
import { FIRST_DRIVER_BIT, LinuxSocket } from '../socket.js';

/** Where a send is. */
export const Sending = {
  /** None is in flight. */
  None: 0,
  /** The kernel has no room: it goes on when the socket is writable. */
  Blocked: 1,
  /** It goes on in the next dequeue(), so that others get their turn. */
  Yielded: 2,
  /** It has ended, and its packet comes out of the next dequeue(). */
  Ended: 3,
  /** It begins in the next dequeue(), in one call with others. */
  Deferred: 4,
} as const;
export type Sending = (typeof Sending)[keyof typeof Sending];

const READABLE = FIRST_DRIVER_BIT;
const PRESSING = FIRST_DRIVER_BIT << 1;
const LISTED = FIRST_DRIVER_BIT << 2;
const STREAMING = FIRST_DRIVER_BIT << 3;
const STARVED = FIRST_DRIVER_BIT << 4;
const CONNECTS = FIRST_DRIVER_BIT << 5;
const NON_BLOCKING = FIRST_DRIVER_BIT << 6;
const SHORT_IS_ALL = FIRST_DRIVER_BIT << 7;

export class EpollSocket extends LinuxSocket {
  /** The events that the epoll watches it for; 0 while it does not know the socket. */
  interest = 0;

  sendState: Sending = Sending.None;
  /** Bytes that the kernel has not taken yet, and those that it has. */
  sendLeft = 0;
  sent = 0;
  /** Where they lie; 0 when a msghdr in the event tells. */
  sendAddress = 0;
  /** The error of a send that has ended: an errno, or 0. */
  sendErrno = 0;
  /** The file that is sent, and where in it; -1 when the send is from memory. */
  file = -1;
  fileOffset = 0;

  /** A listener's own state; null for others. */
  readonly listener: ListenerState | null;
  /** Datagrams that the kernel had no room for, oldest first; null for other sockets. */
  readonly blocked: Overlapped[] | null;

  constructor(
    port: Port<EpollSocket>,
    kind: Kind,
    handle: number,
    shortIsAll: boolean,
    nonBlocking: boolean,
    listener: ListenerState | null = null,
    datagrams: DatagramState | null = null,
  ) {
    super(port, kind, handle, datagrams);
    this.mark(SHORT_IS_ALL, shortIsAll);
    this.nonBlocking = nonBlocking;
    this.listener = listener;
    this.blocked = datagrams === null ? null : [];
  }

  /** There may be something to read, or to accept: no call has said otherwise since the last event. */
  get readable(): boolean {
    return this.has(READABLE);
  }

  set readable(on: boolean) {
    this.mark(READABLE, on);
  }

  /** There may be more to read although a call gave less than was asked for: an end, an error, or urgent data. */
  get pressing(): boolean {
    return this.has(PRESSING);
  }

  set pressing(on: boolean) {
    this.mark(PRESSING, on);
  }

  /** It is in the driver's list of sockets to be served. */
  get listed(): boolean {
    return this.has(LISTED);
  }

  set listed(on: boolean) {
    this.mark(LISTED, on);
  }

  /** The receive stream runs. */
  get streaming(): boolean {
    return this.has(STREAMING);
  }

  set streaming(on: boolean) {
    this.mark(STREAMING, on);
  }

  /** The stream waits for a free buffer. */
  get starved(): boolean {
    return this.has(STARVED);
  }

  set starved(on: boolean) {
    this.mark(STARVED, on);
  }

  /** A connect is under way in the kernel. */
  get connects(): boolean {
    return this.has(CONNECTS);
  }

  set connects(on: boolean) {
    this.mark(CONNECTS, on);
  }

  /** The descriptor has O_NONBLOCK. */
  get nonBlocking(): boolean {
    return this.has(NON_BLOCKING);
  }

  set nonBlocking(on: boolean) {
    this.mark(NON_BLOCKING, on);
  }

  /** A call that gives less than was asked for has given all that there is. Of TCP only: see receiver.ts. */
  get shortIsAll(): boolean {
    return this.has(SHORT_IS_ALL);
  }

  override dequeued(packet: CompletionPacket): void {
    if (this.datagrams !== null && packet.operation === Operation.Send)
      this.datagrams.sends.remove(packet.event!.tag | 0);
    if (packet.handle >= 0) disown(Owned.Handle, packet.handle);
    super.dequeued(packet);
  }
}

export class ListenerState {
  /** Events of accepts that wait, oldest first. */
  readonly waiting: Overlapped[] = [];
  /** Its accepted connections are handed out as numbers, for a port of any thread. */
  readonly detached: boolean;
  /** Whether it listens on a path, and then the file of that. */
  readonly local: boolean;
  readonly file: SocketFile | null;

  /** @param at where it is bound already. */
  constructor(detached: boolean, at: Endpoint | PipeEndpoint) {
    this.detached = detached;
    this.local = isPipe(at);
    this.file = isPipe(at) ? SocketFile.of(at.path) : null;
  }
}
