// Accepting: while accepts wait, accept4() takes one connection for each. Connections for which no accept waits stay in the
// backlog.

import { type CompletionPacket, Operation, type Overlapped } from '../../contract/port.js';
import { disown, Owned, own, taken } from '../../native/ledger.js';
import type { Port } from '../../port/port.js';
import { Kind } from '../../port/socket.js';
import { bindCalls } from '../calls.js';
import { EAGAIN, ECANCELED, ECONNABORTED, EINTR, linuxPacketError } from '../errors.js';
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from '../layout.js';
import { errno } from '../libc.js';
import { fill } from '../packets.js';
import { EpollSocket } from './socket.js';
import type { Watching } from './watching.js';

/** Connections that one listener brings before others get their turn. */
const ACCEPTS_PER_TURN = 64;
/** Connections of the backlog that come out when the listener closes. */
const MOST_AT_CLOSE = 1024;

export class Acceptor {
  readonly #port: Port<EpollSocket>;
  readonly #watching: Watching;
  readonly #accept = bindCalls().accept4;

  constructor(port: Port<EpollSocket>, watching: Watching) {
    this.#port = port;
    this.#watching = watching;
  }

  accept(socket: EpollSocket, event: Overlapped): void {
    socket.listener!.waiting.push(event);
    const failed = this.#watching.reads(socket);
    if (failed === 0) return;
    socket.listener!.waiting.pop();
    const error = linuxPacketError('accept a connection', 'epoll_ctl', failed);
    this.#port.queue(Operation.Accept, socket, event, error).socket = null;
  }

  cancel(socket: EpollSocket, event: Overlapped): void {
    const { waiting } = socket.listener!;
    const at = waiting.indexOf(event);
    if (at < 0) return;
    waiting.splice(at, 1);
    const error = linuxPacketError('accept', 'accept', ECANCELED);
    this.#port.queue(Operation.Accept, socket, event, error).socket = null;
  }

  /**
   * The listener closes. Its peers believe that connections of the backlog are there, so these come out, also where no accept
   * waits for them. Then the accepts that wait end.
   */
  close(socket: EpollSocket): void {
    const { waiting } = socket.listener!;
    for (let i = 0; i < MOST_AT_CLOSE; i++) {
      const handle = this.#acceptOne(socket);
      if (handle < 0) {
        const code = errno();
        if (code === EINTR || code === ECONNABORTED) continue;
        break;
      }
      const event = waiting.shift() ?? null;
      if (event === null) this.#port.begin(socket, null);
      this.#bring(socket, handle, this.#port.queue(Operation.Accept, socket, event, null));
    }
    while (waiting.length > 0) this.cancel(socket, waiting[0]!);
  }

  /** Takes connections for the accepts that wait, up to a bound, into packets from place `n` on. Gives the place after the last. */
  take(socket: EpollSocket, batch: readonly CompletionPacket[], n: number): number {
    const { waiting, detached } = socket.listener!;
    const end = Math.min(batch.length, n + ACCEPTS_PER_TURN);
    let next = n;
    while (waiting.length > 0) {
      if (next >= end) {
        this.#watching.list(socket);
        break;
      }
      const handle = this.#acceptOne(socket);
      const code = handle < 0 ? errno() : 0;
      if (code === EINTR) continue;
      if (code === EAGAIN) {
        socket.readable = false;
        break;
      }
      const event = waiting.shift()!;
      const packet = batch[next++]!;
      if (code !== 0) {
        // The connection may be waiting still (EMFILE): the next accept tries again, whether or not an event comes.
        const error = linuxPacketError('accept a connection', 'accept', code);
        fill(packet, Operation.Accept, socket.key, event, null, 0, error);
      } else {
        fill(packet, Operation.Accept, socket.key, event, null, 0, null);
        this.#bring(socket, handle, packet);
        if (detached) disown(Owned.Handle, handle);
      }
      this.#port.finish(socket, event);
    }
    return next;
  }

  /** A connection, or -1. */
  #acceptOne({ handle, listener }: EpollSocket): number {
    // One that is handed out may become a socket of a port that expects it to block.
    const flags = listener!.detached ? SOCK_CLOEXEC : SOCK_CLOEXEC | SOCK_NONBLOCK;
    taken[0] = this.#accept(handle, 0, 0, flags);
    const fd = taken[0];
    if (fd >= 0) own(Owned.Handle, fd);
    return fd;
  }

  #bring({ listener }: EpollSocket, handle: number, packet: CompletionPacket): void {
    const { detached, local } = listener!;
    if (detached) packet.handle = handle;
    packet.socket = detached
      ? null
      : this.#port.add(new EpollSocket(this.#port, Kind.Connection, handle, !local, true));
  }
}
