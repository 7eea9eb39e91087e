// Sending: one WSASend at a time for each socket, of up to 16 pieces.

import assert from 'node:assert';
import { type GatherList, Operation, type Overlapped } from '../contract.js';
import { SD_SEND, WSA_IO_PENDING } from './constants.js';
import type { Engine } from './engine.js';
import { win32Error } from './errors.js';
import { EVENT_BUFFERS, PAGE, WSABUF } from './layout.js';
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
    const overlapped = this.#engine.prepare(event);
    const { scratch } = this.#engine;
    const list = overlapped + EVENT_BUFFERS;
    if (this.#send(socket.handle, list, pieces.count, scratch.address, 0, overlapped, 0) === 0) {
      if (!socket.skipsPacketOnSuccess) return;
      this.#engine.settle();
      this.complete(socket, event, 0, scratch.words[PAGE.bytes]!);
      return;
    }
    const errno = WSAGetLastError();
    if (errno === WSA_IO_PENDING) return;
    this.#engine.settle();
    this.complete(socket, event, errno, 0);
  }

  /** A send has ended with this NTSTATUS or error number. */
  complete(socket: Win32Socket, event: Overlapped, errno: number, bytes: number): void {
    const error = errno === 0 ? null : win32Error('send', 'WSASend', errno);
    this.#engine.queuePacket(Operation.Send, socket, event, error).bytes = bytes;
  }

  shutdown(socket: Win32Socket): void {
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, null);
    socket.shuttingDown = true;
    const failed = shutdown(socket.handle, SD_SEND) !== 0;
    const error = failed ? win32Error('shut down', 'shutdown', WSAGetLastError()) : null;
    this.#engine.queuePacket(Operation.Shutdown, socket, null, error);
  }
}

/** Lays out the WSABUFs of a send in the event's own memory. */
export function writeBuffers(event: Overlapped, pieces: GatherList): void {
  const { words } = event.block;
  for (let i = 0; i < pieces.count; i++) {
    const at = (event.offset + EVENT_BUFFERS + i * WSABUF.size) >> 2;
    writeBuffer(words, at, pieces.blocks[i]!.address + pieces.offsets[i]!, pieces.lengths[i]!);
  }
}

/** Writes one WSABUF. `at` is in words. */
export function writeBuffer(words: Uint32Array, at: number, start: number, length: number): void {
  words[at] = length;
  words[at + (WSABUF.buf >> 2)] = start;
  words[at + (WSABUF.buf >> 2) + 1] = Math.floor(start / 0x100000000);
}
