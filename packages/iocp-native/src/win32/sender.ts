// Sending: one WSASend at a time for each socket, of up to 16 pieces.

import type { IocpError } from '../contract/errors.js';
import { blockOf, bytesOf, countOf, offsetOf } from '../contract/gather-list.js';
import { type GatherList, Operation, type Overlapped } from '../contract/port.js';
import type { Port } from '../port/port.js';
import { ERROR_IO_PENDING, ERROR_NOT_SUPPORTED, SD_SEND } from './constants.js';
import { win32PacketError } from './errors.js';
import { canceled, type KernelQueue } from './kernel-queue.js';
import { EVENT_BUFFERS, OVERLAPPED, PAGE, WSABUF } from './layout.js';
import { type PipeState, writePipe } from './pipe.js';
import type { Win32Socket } from './socket.js';
import { shutdown, WSAGetLastError, WSASend } from './ws2_32.js';

export class Sender {
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  readonly #send = WSASend.bound();

  constructor(port: Port<Win32Socket>, queue: KernelQueue) {
    this.#port = port;
    this.#queue = queue;
  }

  send(socket: Win32Socket, event: Overlapped, pieces: GatherList): void {
    writeBuffers(event, pieces);
    const { pipe } = socket;
    if (pipe !== null) {
      pipe.piece = 0;
      pipe.pieces = countOf(pieces);
      pipe.bytes = 0;
      this.#writePiece(socket, pipe, event);
      return;
    }
    const overlapped = this.#queue.prepare(event);
    const { page } = this.#queue;
    const list = overlapped + EVENT_BUFFERS;
    // Winsock requires a buffer. It may be of no bytes.
    if (countOf(pieces) === 0) writeBuffer(event.block.words, (event.offset + EVENT_BUFFERS) >> 2, 0, 0);
    const count = Math.max(1, countOf(pieces));
    const done = this.#send(socket.handle, list, count, page.address, 0, overlapped, 0) === 0;
    const errno = this.#queue.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno !== ERROR_IO_PENDING) this.complete(socket, event, errno, done ? page.words[PAGE.bytes]! : 0);
  }

  /** A send has ended with this NTSTATUS or error number. */
  complete(socket: Win32Socket, event: Overlapped, errno: number, bytes: number): void {
    // A call that fails at once may leave STATUS_PENDING there.
    event.block.words[(event.offset + OVERLAPPED.Internal) >> 2] = errno;
    const { pipe } = socket;
    if (pipe === null) {
      const error = errno === 0 ? null : win32PacketError('send', 'WSASend', errno);
      queueSend(this.#port, socket, event, error, bytes);
      return;
    }
    pipe.bytes += bytes;
    if (errno === 0) {
      pipe.piece++;
      this.#writePiece(socket, pipe, event);
      return;
    }
    queueSend(this.#port, socket, event, win32PacketError('send', 'WriteFile', errno), pipe.bytes);
  }

  /** Writes the next piece to a pipe. A piece of no bytes is left out: its reader would receive 0 bytes. */
  #writePiece(socket: Win32Socket, pipe: PipeState, event: Overlapped): void {
    const { words } = event.block;
    let at = (event.offset + EVENT_BUFFERS + pipe.piece * WSABUF.size) >> 2;
    for (; pipe.piece < pipe.pieces && words[at] === 0; at += WSABUF.size >> 2) pipe.piece++;
    if (pipe.piece === pipe.pieces || socket.closing) {
      const error = pipe.piece === pipe.pieces ? null : canceled('send', 'WriteFile');
      queueSend(this.#port, socket, event, error, pipe.bytes);
      return;
    }
    const low = at + (WSABUF.buf >> 2);
    const from = words[low + 1]! * 0x100000000 + words[low]!;
    const called = writePipe(socket.handle, from, words[at]!, this.#queue.prepare(event));
    const errno = this.#queue.outcome(called, false);
    if (errno !== ERROR_IO_PENDING) this.complete(socket, event, errno, 0);
  }

  shutdown(socket: Win32Socket): void {
    if (socket.pipe !== null) {
      const error = win32PacketError('shut down one direction of a pipe', 'shutdown', ERROR_NOT_SUPPORTED);
      this.#port.queue(Operation.Shutdown, socket, null, error);
      return;
    }
    const failed = shutdown(socket.handle, SD_SEND) !== 0;
    const error = failed ? win32PacketError('shut down', 'shutdown', WSAGetLastError()) : null;
    this.#port.queue(Operation.Shutdown, socket, null, error);
  }
}

/**
 * Queues the packet of a send on a connection. A close that cuts a send short is a reset: the peer must not take a part for
 * the whole.
 */
export function queueSend(
  port: Port<Win32Socket>,
  socket: Win32Socket,
  event: Overlapped,
  error: IocpError | null,
  bytes: number,
): void {
  if (socket.closing && error !== null) socket.reset = true;
  port.queue(Operation.Send, socket, event, error).bytes = bytes;
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
