// A socket of an epoll port: what is known of its readiness, and the operations that wait for it.

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
import { LinuxSocket } from '../socket.js';

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
} as const;
export type Sending = (typeof Sending)[keyof typeof Sending];

export class EpollSocket extends LinuxSocket {
  /** What the epoll watches it for; 0 while it does not know the socket. */
  interest = 0;
  /** There may be something to read, or to accept: no call has said otherwise since the last event. */
  readable = false;
  /** There may be more to read although a call gave less than was asked for: an end, an error, or urgent data. */
  pressing = false;
  /** It is in the driver's list of sockets to be served. */
  listed = false;

  /** The receive stream runs. */
  streaming = false;
  /** It waits for a free buffer. */
  starved = false;
  /** A connect is under way in the kernel. */
  connects = false;

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

  /** A call that gives less than was asked for has given all that there is. Of TCP only: see receiver.ts. */
  readonly shortIsAll: boolean;
  /** The descriptor has O_NONBLOCK. */
  nonBlocking: boolean;
  /** A listener's own state; null for others. */
  readonly listener: ListenerState | null;
  /** Datagrams that the kernel had no room for, oldest first; null for what is no datagram socket. */
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
    this.shortIsAll = shortIsAll;
    this.nonBlocking = nonBlocking;
    this.listener = listener;
    this.blocked = datagrams === null ? null : [];
  }
  override dequeued(packet: CompletionPacket): void {
    if (this.datagrams !== null && packet.operation === Operation.Send) this.datagrams.remove(packet.event!.tag | 0);
    if (packet.handle >= 0) disown(Owned.Handle, packet.handle);
    super.dequeued(packet);
  }
}

export class ListenerState {
  /** Events of accepts that wait, oldest first. */
  readonly waiting: Overlapped[] = [];
  /** What it accepts is handed out as a number, for a port of any thread. */
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
