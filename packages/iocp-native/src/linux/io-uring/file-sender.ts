// Sending files: a piece is read into a buffer and sent from there, by turns, without waiting for the peer. One that has no
// room for more is waited for, and until it has, a slow peer holds no buffer: the bytes can be read again.
//
//   read -> send -> read -> send (short) -> room -> read ...
//
// Splicing through a pipe would save a copy and cost as much CPU time for each byte: io_uring splices on a kernel thread,
// which would also wait there for a peer that does not read, and each file would take two descriptors more.

import assert from 'node:assert';
import { endsEarly, type IocpError } from '../../contract/errors.js';
import { type CompletionPacket, Operation, type Overlapped } from '../../contract/port.js';
import type { NativeBlock } from '../../native/memory.js';
import { checkFileRange } from '../../port/checks.js';
import { EAGAIN, linuxPacketError } from '../errors.js';
import { MSG_DONTWAIT, MSG_NOSIGNAL, OP } from '../layout.js';
import { fill } from './completion.js';
import { canceled, type Engine } from './engine.js';
import type { Room } from './room.js';
import { resetIfCut, type UringSocket } from './socket.js';

/** Buffers of a port. One is out from the start of a read to the end of a send, neither of which waits for a peer. */
const BUFFERS = 4;
const MOST = 262_144;
const LEAST = 16_384;

/** What a socket's send of a file is about. */
export interface FileInFlight {
  readonly file: number;
  offset: number;
  left: number;
  sent: number;
  /** Bytes of the next read: as much as the peer is likely to take. */
  piece: number;
  /** Which buffer it has; -1 while it waits for the peer, or for a buffer. */
  buffer: number;
  /** Bytes in the buffer; 0 while they are being read. */
  filled: number;
  canceled: boolean;
}

export class FileSender {
  readonly #engine: Engine;
  readonly #room: Room;
  readonly #allocate: () => NativeBlock;
  #block: NativeBlock | null = null;
  readonly #free = Array.from({ length: BUFFERS }, (_, i) => i);
  /** Who waits for a buffer, the longest wait first. */
  readonly #waiting = new Set<UringSocket>();

  constructor(engine: Engine, room: Room, allocate: (bytes: number) => NativeBlock) {
    this.#engine = engine;
    this.#room = room;
    this.#allocate = () => allocate(BUFFERS * MOST);
  }

  send(socket: UringSocket, event: Overlapped, file: number, offset: number, length: number): void {
    checkFileRange(offset, length);
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, event);
    socket.sending = event;
    const state = { file, offset, left: length, sent: 0, piece: MOST, buffer: -1, filled: 0, canceled: false };
    socket.file = state;
    this.#read(socket, state);
  }

  cancel(socket: UringSocket): void {
    socket.file!.canceled = true;
    if (socket.waitsForRoom) this.#room.forget(socket);
    else if (!this.#waiting.delete(socket)) {
      // It is read, or being sent, both of which end without the peer.
      this.#engine.cancel(socket, Operation.Send, socket.sending!.tag);
      return;
    }
    const { sent } = socket.file!;
    const event = socket.sending!;
    socket.sending = null;
    socket.file = null;
    const error = canceled('send a file', 'send');
    resetIfCut(socket, error);
    this.#engine.queueEnd(Operation.Send, socket, event, error).bytes = sent;
  }

  /** There is room again. */
  resume(socket: UringSocket): void {
    this.#read(socket, socket.file!);
  }

  /** A read or a send is done. True when that filled the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, packet: CompletionPacket): boolean {
    const state = socket.file!;
    const { buffer, filled } = state;
    const reading = filled === 0;
    const wanted = !state.canceled && !socket.closing;
    if (reading && result > 0 && wanted) {
      state.filled = result;
      const address = this.#addressOf(buffer);
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      this.#engine.submit(OP.SEND, socket, event.tag, Operation.Send, address, result, flags, 0, 0);
      return false;
    }
    this.#give(state);
    const sent = reading ? 0 : Math.max(result, 0);
    state.sent += sent;
    state.offset += sent;
    state.left -= sent;
    const failed = result < 0 && (reading || result !== -EAGAIN);
    let error = failed ? linuxPacketError('send a file', reading ? 'read' : 'send', -result) : null;
    if (!failed && !reading && state.left > 0 && wanted) {
      error = this.#goOn(socket, state, sent === filled);
      if (error === null) return false;
    }
    if (error === null && state.left > 0) {
      error = reading && result === 0 ? endsEarly() : canceled('send a file', 'send');
    }
    socket.sending = null;
    socket.file = null;
    resetIfCut(socket, error);
    fill(packet, Operation.Send, socket.key, event, socket, state.sent, error);
    this.#engine.finish(socket, event);
    return true;
  }

  /** The peer has taken all of a piece, or has to be waited for. Gives the error when the system does not let us wait. */
  #goOn(socket: UringSocket, state: FileInFlight, whole: boolean): IocpError | null {
    if (whole) {
      state.piece = Math.min(state.piece * 2, MOST);
      this.#read(socket, state);
      return null;
    }
    state.piece = Math.max(state.piece >> 1, LEAST);
    const errno = this.#room.wait(socket);
    return errno === 0 ? null : linuxPacketError('send a file', 'epoll_ctl', errno);
  }

  #read(socket: UringSocket, state: FileInFlight): void {
    const buffer = this.#free.pop();
    if (buffer === undefined) {
      this.#waiting.add(socket);
      return;
    }
    state.buffer = buffer;
    state.filled = 0;
    const length = Math.min(state.piece, state.left);
    this.#engine.read(socket, state.file, state.offset, this.#addressOf(buffer), length);
  }

  /** The buffer goes to the one that has waited longest. */
  #give(state: FileInFlight): void {
    this.#free.push(state.buffer);
    state.buffer = -1;
    state.filled = 0;
    for (const socket of this.#waiting) {
      this.#waiting.delete(socket);
      this.#read(socket, socket.file!);
      return;
    }
  }

  #addressOf(buffer: number): number {
    this.#block ??= this.#allocate();
    return this.#block.address + buffer * MOST;
  }
}
