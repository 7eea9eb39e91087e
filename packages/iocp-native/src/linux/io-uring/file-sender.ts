// Sending files: a piece is read into a buffer and sent from there, by turns, without waiting for the peer. When the peer takes no
// more, the send gives its buffer back and waits until the socket is writable: a slow peer holds no buffer, as the bytes can be
// read again.
//
//   read -> send -> read -> send (short) -> wait -> read ...
//
// Splicing through a pipe would save a copy and cost as much CPU time for each byte: io_uring splices on an io-wq thread,
// which would also wait there for a peer that does not read, and each file would take two descriptors more.

import { endsEarly, type IocpError } from '../../contract/errors.js';
import { type CompletionPacket, Operation, type Overlapped } from '../../contract/port.js';
import type { NativeBlock } from '../../native/memory.js';
import type { Port } from '../../port/port.js';
import { canceled, EAGAIN, linuxPacketError } from '../errors.js';
import { fill } from '../packets.js';
import { cancelOperation, setOwner } from './completions.js';
import type { Ring } from './ring.js';
import { SEND_FLAGS } from './sender.js';
import { resetIfCut, type UringSocket } from './socket.js';
import { prepRead, prepSend } from './submissions.js';
import type { Writability } from './writability.js';

/** Buffers of a port. One is out from the start of a read to the end of a send, neither of which waits for a peer. */
const BUFFERS = 4;
const MOST = 262_144;
const LEAST = 16_384;

/** The file, range and progress of a socket's send of a file. */
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
  readonly #port: Port<UringSocket>;
  readonly #ring: Ring;
  readonly #writability: Writability;
  #block: NativeBlock | null = null;
  readonly #free = Array.from({ length: BUFFERS }, (_, i) => i);
  /** Sockets that wait for a buffer, the longest wait first. */
  readonly #waiting = new Set<UringSocket>();

  constructor(port: Port<UringSocket>, ring: Ring, writability: Writability) {
    this.#port = port;
    this.#ring = ring;
    this.#writability = writability;
  }

  send(socket: UringSocket, file: number, offset: number, length: number): void {
    const state = { file, offset, left: length, sent: 0, piece: MOST, buffer: -1, filled: 0, canceled: false };
    socket.file = state;
    this.#read(socket, state);
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    const state = socket.file!;
    state.canceled = true;
    if (socket.waitsToSend) this.#writability.cancelWait(socket);
    else if (!this.#waiting.delete(socket)) {
      // It is being read or sent: both end without the peer.
      cancelOperation(this.#ring, socket, Operation.Send, event.tag);
      return;
    }
    socket.file = null;
    const error = canceled('send a file', 'send');
    resetIfCut(socket, error);
    this.#port.queue(Operation.Send, socket, event, error).bytes = state.sent;
  }

  /** The socket is writable again. */
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
      const entry = prepSend(this.#ring, socket.handle, this.#addressOf(buffer), result, SEND_FLAGS);
      setOwner(this.#ring, entry, socket, Operation.Send, event.tag);
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
    socket.file = null;
    resetIfCut(socket, error);
    fill(packet, Operation.Send, socket.key, event, socket, state.sent, error);
    this.#port.finish(socket, event);
    return true;
  }

  /** Sends the next piece now, or when the socket is writable. Gives the error when that cannot be waited for. */
  #goOn(socket: UringSocket, state: FileInFlight, whole: boolean): IocpError | null {
    if (whole) {
      state.piece = Math.min(state.piece * 2, MOST);
      this.#read(socket, state);
      return null;
    }
    state.piece = Math.max(state.piece >> 1, LEAST);
    const errno = this.#writability.wait(socket);
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
    const entry = prepRead(this.#ring, state.file, state.offset, this.#addressOf(buffer), length);
    // It completes as the send does.
    setOwner(this.#ring, entry, socket, Operation.Send, socket.sending!.tag);
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
    this.#block ??= this.#port.allocate(BUFFERS * MOST, true);
    return this.#block.address + buffer * MOST;
  }
}
