// A kernel for shared sessions, in memory: descriptors that are used again, one epoll with EPOLLONESHOT and its ready list, sockets
// with small windows, and peers at their other ends. Nothing in here belongs to a thread.

import assert from 'node:assert';
import { Ready } from '@overlapped/iocp-native/internal';
import type { Random, VirtualClock } from '@overlapped/iocp-native/testing';
import { Peer } from './peer.js';

const ENOENT = 2;
const EBADF = 9;
const ECONNRESET = 104;
const WOULD_BLOCK = 11;
/** Stands in the ready list for the eventfd. */
const BELL = -1;

interface Watch {
  low: number;
  high: number;
  interest: number;
  /** The epoll has the socket. */
  added: boolean;
  /** Until it has given an event. */
  armed: boolean;
  listed: boolean;
}

export class Socket {
  readonly fd: number;
  readonly peer: Peer | null;
  /** A listening socket's. */
  readonly backlog: Peer[] = [];
  readonly watch: Watch = { low: 0, high: 0, interest: 0, added: false, armed: false, listed: false };
  /** From the peer. */
  readonly incoming: Buffer[] = [];
  peerEnded = false;
  reset = false;
  /** Bytes that the kernel takes now. */
  room: number;
  ended = false;
  /** When it opened, and when a thread last received bytes, and sent some. */
  readonly opened: number;
  received: number;
  sent: number;
  /** How long no bytes had been sent when a timeout closed it. */
  stuckFor: number | undefined;

  constructor(fd: number, peer: Peer | null, room: number, now: number) {
    this.fd = fd;
    this.peer = peer;
    this.room = room;
    this.opened = now;
    this.received = now;
    this.sent = now;
  }

  get events(): number {
    const reads = this.backlog.length > 0 || this.incoming.length > 0 || this.peerEnded || this.reset;
    const ready = (reads ? Ready.Read : 0) | (this.room > 0 || this.reset ? Ready.Write : 0);
    // An error is told whatever was asked for.
    return (ready & this.watch.interest) | (this.reset ? Ready.Read : 0);
  }
}

export interface KernelOptions {
  readonly window: number;
  /** The most milliseconds that something is on its way. */
  readonly latency: number;
}

export class Kernel {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly options: KernelOptions;
  readonly sockets = new Map<number, Socket>();
  readonly #ready: number[] = [];
  #inodes = 0;
  readonly #marks = new Map<number, number>();
  /** Called when the ready list has something. */
  onReady = () => {};

  constructor(clock: VirtualClock, random: Random, options: KernelOptions) {
    this.clock = clock;
    this.random = random;
    this.options = options;
  }

  /** A new descriptor: the lowest number that is free. */
  open(peer: Peer | null): Socket {
    let fd = 3;
    while (this.sockets.has(fd)) fd++;
    const socket = new Socket(fd, peer, peer === null ? 0 : this.options.window, this.clock.now());
    this.sockets.set(fd, socket);
    this.#marks.set(fd, ++this.#inodes);
    return socket;
  }

  mark(fd: number): number {
    return this.#marks.get(fd) ?? 0;
  }

  connect(listener: Socket): Peer {
    const peer = new Peer(this);
    listener.backlog.push(peer);
    this.update(listener);
    return peer;
  }

  accept(fd: number): number {
    const peer = this.sockets.get(fd)?.backlog.shift();
    if (peer === undefined) return -WOULD_BLOCK;
    peer.socket = this.open(peer);
    peer.onAccepted();
    return peer.socket.fd;
  }

  receive(fd: number, into: Buffer): number {
    const socket = this.sockets.get(fd);
    if (socket === undefined) return -EBADF;
    if (socket.reset) return -ECONNRESET;
    const piece = socket.incoming.shift();
    if (piece === undefined) return socket.peerEnded ? 0 : -WOULD_BLOCK;
    const length = Math.min(piece.length, into.length);
    piece.copy(into, 0, 0, length);
    if (length < piece.length) socket.incoming.unshift(piece.subarray(length));
    socket.received = this.clock.now();
    return length;
  }

  send(fd: number, bytes: Uint8Array): number {
    const socket = this.sockets.get(fd);
    if (socket === undefined) return -EBADF;
    if (socket.reset) return -ECONNRESET;
    assert(!socket.ended, 'a send after the end');
    const length = Math.min(socket.room, bytes.length);
    if (length === 0) return 0;
    socket.room -= length;
    socket.sent = this.clock.now();
    socket.peer!.arrive(Buffer.from(bytes.subarray(0, length)));
    return length;
  }

  end(fd: number): void {
    const socket = this.sockets.get(fd);
    if (socket === undefined || socket.ended) return;
    socket.ended = true;
    socket.peer!.arrive(null);
  }

  close(fd: number, reset: boolean): void {
    const socket = this.sockets.get(fd);
    assert(socket !== undefined, `descriptor ${fd} is closed twice`);
    this.sockets.delete(fd);
    this.#marks.delete(fd);
    for (const peer of socket.backlog) peer.cut();
    if (socket.peer === null) return;
    // Unread bytes turn a close into a reset.
    if (reset || socket.incoming.length > 0) socket.peer.cut();
    else if (socket.ended) socket.peer.arrive(undefined);
    else {
      socket.peer.arrive(null);
      socket.peer.arrive(undefined);
    }
  }

  // epoll.

  add(fd: number, interest: number, low: number, high: number): number {
    const socket = this.sockets.get(fd);
    if (socket !== undefined) socket.watch.added = true;
    return this.arm(fd, interest, low, high);
  }

  arm(fd: number, interest: number, low: number, high: number): number {
    const socket = this.sockets.get(fd);
    if (socket === undefined) return EBADF;
    if (!socket.watch.added) return ENOENT;
    Object.assign(socket.watch, { interest, low, high, armed: true });
    this.update(socket);
    return 0;
  }

  ring(): void {
    if (!this.#ready.includes(BELL)) this.#ready.push(BELL);
    this.onReady();
  }

  /** Something about a socket has changed. */
  update(socket: Socket): void {
    const { watch } = socket;
    if (!watch.armed || watch.listed || socket.events === 0) return;
    watch.listed = true;
    this.#ready.push(socket.fd);
    this.onReady();
  }

  get ready(): boolean {
    return this.#ready.length > 0;
  }

  /** The oldest event, which disarms its socket; null when there is none, and for the bell's. */
  take(): { low: number; high: number; ready: number } | null {
    for (let fd = this.#ready.shift(); fd !== undefined; fd = this.#ready.shift()) {
      if (fd === BELL) return null;
      const socket = this.sockets.get(fd);
      if (socket === undefined) continue;
      const { watch, events } = socket;
      watch.listed = false;
      if (!watch.armed || events === 0) continue;
      watch.armed = false;
      return { low: watch.low, high: watch.high, ready: events };
    }
    return null;
  }
}
