// Sending: one WSASend at a time for each socket, of up to 16 pieces.

import assert from 'node:assert';
import { blockOf, bytesOf, countOf, offsetOf } from '../contract/gather-list.js';
import { type GatherList, Operation, type Overlapped } from '../contract/port.js';
import { ERROR_IO_PENDING, ERROR_NOT_SUPPORTED, SD_SEND } from './constants.js';
import { canceled, type Engine } from './engine.js';
import { win32PacketError } from './errors.js';
import { EVENT_BUFFERS, OVERLAPPED, PAGE, WSABUF } from './layout.js';
import { writePipe } from './pipe.js';
import type { Win32Socket } from './socket.js';
import { shutdown, WSAGetLastError, WSASend } from './ws2_32.js';

export class Sender {
  readonly #engine: Engine;
  readonly #send = WSASend.bound();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  send(socket: Win32Socket, event: Overlapped, pieces: GatherList): void {
    assert(socket.datagrams === null, 'send() on a datagram socket');
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, event);
    socket.sending = event;
    writeBuffers(event, pieces);
    if (socket.pipe !== null) {
      socket.piece = 0;
      socket.pieces = countOf(pieces);
      socket.piecesBytes = 0;
      this.#writePiece(socket, event);
      return;
    }
    const overlapped = this.#engine.prepare(event);
    const { scratch } = this.#engine;
    const list = overlapped + EVENT_BUFFERS;
    // Winsock wants a buffer, if one of no bytes.
    if (countOf(pieces) === 0) writeBuffer(event.block.words, (event.offset + EVENT_BUFFERS) >> 2, 0, 0);
    const count = Math.max(1, countOf(pieces));
    const done = this.#send(socket.handle, list, count, scratch.address, 0, overlapped, 0) === 0;
    const errno = this.#engine.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno !== ERROR_IO_PENDING) this.complete(socket, event, errno, done ? scratch.words[PAGE.bytes]! : 0);
  }

  /** A send has ended with this NTSTATUS or error number. */
  complete(socket: Win32Socket, event: Overlapped, errno: number, bytes: number): void {
    // A call that fails at once may have left it STATUS_PENDING.
    event.block.words[(event.offset + OVERLAPPED.Internal) >> 2] = errno;
    if (socket.pipe !== null) {
      socket.piecesBytes += bytes;
      if (errno === 0) {
        socket.piece++;
        this.#writePiece(socket, event);
        return;
      }
    }
    const syscall = socket.pipe ? 'WriteFile' : 'WSASend';
    const error = errno === 0 ? null : win32PacketError('send', syscall, errno);
    this.#engine.queuePacket(Operation.Send, socket, event, error).bytes = socket.pipe ? socket.piecesBytes : bytes;
  }

  /** Writes the next piece to a pipe. A write of no bytes would be taken for a message by its reader. */
  #writePiece(socket: Win32Socket, event: Overlapped): void {
    const { words } = event.block;
    let at = (event.offset + EVENT_BUFFERS + socket.piece * WSABUF.size) >> 2;
    for (; socket.piece < socket.pieces && words[at] === 0; at += WSABUF.size >> 2) socket.piece++;
    if (socket.piece === socket.pieces || socket.closing) {
      const error = socket.piece === socket.pieces ? null : canceled('send', 'WriteFile');
      this.#engine.queuePacket(Operation.Send, socket, event, error).bytes = socket.piecesBytes;
      return;
    }
    const low = at + (WSABUF.buf >> 2);
    const from = words[low + 1]! * 0x100000000 + words[low]!;
    const called = writePipe(socket.handle, from, words[at]!, this.#engine.prepare(event));
    const errno = this.#engine.outcome(called, false);
    if (errno !== ERROR_IO_PENDING) this.complete(socket, event, errno, 0);
  }

  shutdown(socket: Win32Socket): void {
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, null);
    socket.shuttingDown = true;
    if (socket.pipe !== null) {
      const error = win32PacketError('shut down one direction of a pipe', 'shutdown', ERROR_NOT_SUPPORTED);
      this.#engine.queuePacket(Operation.Shutdown, socket, null, error);
      return;
    }
    const failed = shutdown(socket.handle, SD_SEND) !== 0;
    const error = failed ? win32PacketError('shut down', 'shutdown', WSAGetLastError()) : null;
    this.#engine.queuePacket(Operation.Shutdown, socket, null, error);
  }
}

/** Lays out the WSABUFs of a send in the event's own memory. */
export function writeBuffers(event: Overlapped, pieces: GatherList): void {
  const { words } = event.block;
  const count = countOf(pieces);
  for (let i = 0; i < count; i++) {
    const at = (event.offset + EVENT_BUFFERS + i * WSABUF.size) >> 2;
    writeBuffer(words, at, blockOf(pieces, i).address + offsetOf(pieces, i), bytesOf(pieces, i));
  }
}

/** Writes one WSABUF. `at` is in words. */
export function writeBuffer(words: Uint32Array, at: number, start: number, length: number): void {
  words[at] = length;
  words[at + (WSABUF.buf >> 2)] = start;
  words[at + (WSABUF.buf >> 2) + 1] = Math.floor(start / 0x100000000);
}
