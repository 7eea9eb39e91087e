// Sending files. On servers that is one TransmitFile. Editions for clients perform two of those at a time, of all programs
// together, so that two peers that do not read would stop every other: there a piece is read and sent, by turns.
//
//   read -> send -> read -> send ...
//
// The reads are overlapped, too. A descriptor of Node's is not, so its file is opened once more; that handle is associated
// with the port under the key of the socket, and read into a buffer that this send has until it is over: an overlapped send
// holds its bytes as long as the peer does not read.

import assert from 'node:assert';
import { endsEarly, type IocpError, isIocpError } from '../contract/errors.js';
import { Operation, type Overlapped } from '../contract/port.js';
import { disown, Owned, own, taken } from '../native/ledger.js';
import type { NativeBlock } from '../native/memory.js';
import { checkFileRange } from '../port/checks.js';
import * as c from './constants.js';
import { canceled, type Engine } from './engine.js';
import { win32PacketError } from './errors.js';
import { handleOf } from './file.js';
import { CancelIoEx, CloseHandle, GetLastError, ReadFile, ReOpenFile } from './kernel32.js';
import { EVENT_BUFFERS, OVERLAPPED, PAGE, WSABUF } from './layout.js';
import type { Win32Socket } from './socket.js';
import { isClientEdition } from './system.js';
import { TransmitFile, WSAGetLastError, WSASend } from './ws2_32.js';

/** Bytes of a read, and of a buffer. */
const PIECE = 65_536;

/** What a socket's send of a file is about. */
export interface FileInFlight {
  /** The file, opened for reading by this send; -1 for TransmitFile, which takes Node's own. */
  readonly handle: number;
  /** Null for TransmitFile. */
  readonly buffer: NativeBlock | null;
  offset: number;
  left: number;
  sent: number;
  /** Bytes in the buffer; 0 while they are being read. */
  filled: number;
  canceled: boolean;
}

export class FileSender {
  readonly #engine: Engine;
  readonly #allocate: (bytes: number) => NativeBlock;
  readonly #free: NativeBlock[] = [];

  constructor(engine: Engine, allocate: (bytes: number) => NativeBlock) {
    this.#engine = engine;
    this.#allocate = allocate;
  }

  send(socket: Win32Socket, event: Overlapped, file: number, offset: number, length: number): void {
    checkFileRange(offset, length);
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, event);
    socket.sending = event;
    if (socket.pipe !== null) {
      const error = win32PacketError('send a file to a pipe', 'TransmitFile', c.ERROR_NOT_SUPPORTED);
      this.#engine.queuePacket(Operation.Send, socket, event, error);
      return;
    }
    const state = { handle: -1, buffer: null, offset, left: length, sent: 0, filled: 0, canceled: false };
    if (!isClientEdition()) {
      socket.file = state;
      this.#transmit(socket, event, file, state);
      return;
    }
    try {
      const buffer = this.#free.pop() ?? this.#allocate(PIECE);
      const opened = { ...state, buffer, handle: this.#open(socket, file, buffer) };
      socket.file = opened;
      this.#read(socket, event, opened);
    } catch (error) {
      if (!isIocpError(error)) throw error;
      this.#engine.queuePacket(Operation.Send, socket, event, error);
    }
  }

  /** The packet is still to come. */
  cancel(socket: Win32Socket): void {
    const state = socket.file!;
    const event = socket.sending!;
    const overlapped = event.block.address + event.offset;
    state.canceled = true;
    if (state.handle >= 0 && state.filled === 0) CancelIoEx(state.handle, overlapped);
    else this.#engine.cancel(socket, overlapped);
  }

  /** A TransmitFile, a read or a send has ended with this NTSTATUS or error number. */
  complete(socket: Win32Socket, event: Overlapped, errno: number, bytes: number): void {
    // A call that fails at once may have left it STATUS_PENDING.
    event.block.words[(event.offset + OVERLAPPED.Internal) >> 2] = errno;
    const state = socket.file!;
    const reading = state.handle >= 0 && state.filled === 0;
    if (!reading) {
      state.sent += bytes;
      state.offset += bytes;
      state.left -= bytes;
    }
    let error = errno === 0 ? null : this.#failure(state, reading, errno);
    if (error === null && state.left > 0) {
      if (reading ? bytes === 0 : state.handle < 0) error = endsEarly();
      else if (state.canceled || socket.closing) error = canceled('send a file', reading ? 'ReadFile' : 'WSASend');
      else {
        if (reading) this.#sendPiece(socket, event, state, bytes);
        else this.#read(socket, event, state);
        return;
      }
    }
    this.#end(socket, state);
    this.#engine.queuePacket(Operation.Send, socket, event, error).bytes = state.sent;
  }

  #failure(state: FileInFlight, reading: boolean, errno: number): IocpError {
    const syscall = state.handle < 0 ? 'TransmitFile' : reading ? 'ReadFile' : 'WSASend';
    const error = win32PacketError('send a file', syscall, errno);
    // Windows breaks the connection when a TransmitFile is canceled, and says so.
    const answersCancel = state.canceled && state.handle < 0 && error.code === 'ECONNABORTED';
    return answersCancel ? canceled('send a file', syscall) : error;
  }

  #transmit(socket: Win32Socket, event: Overlapped, file: number, { offset, left }: FileInFlight): void {
    const overlapped = this.#prepare(event, offset);
    const done = TransmitFile(socket.handle, handleOf(file), left, 0, overlapped, 0, 0) !== 0;
    const errno = this.#engine.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno === c.ERROR_IO_PENDING) return;
    const bytes = done ? event.block.words[(event.offset + OVERLAPPED.InternalHigh) >> 2]! : 0;
    this.complete(socket, event, errno, bytes);
  }

  /** The file behind a descriptor, to be read by overlapped calls. Throws an IocpError, and keeps nothing. */
  #open(socket: Win32Socket, file: number, buffer: NativeBlock): number {
    taken[0] = ReOpenFile(handleOf(file), c.GENERIC_READ, c.FILE_SHARE_ALL, c.FILE_FLAG_OVERLAPPED);
    const handle = taken[0];
    let errno = handle === c.INVALID_HANDLE_VALUE ? GetLastError() : 0;
    if (errno === 0) {
      own(Owned.Handle, handle);
      if (this.#engine.associate(socket, handle)) return handle;
      errno = GetLastError();
      close(handle);
    }
    this.#free.push(buffer);
    throw win32PacketError('send a file', 'ReOpenFile', errno);
  }

  #read(socket: Win32Socket, event: Overlapped, state: FileInFlight): void {
    state.filled = 0;
    const overlapped = this.#prepare(event, state.offset);
    const length = Math.min(PIECE, state.left);
    const done = ReadFile(state.handle, state.buffer!.address, length, null, overlapped) !== 0;
    const errno = this.#engine.outcome(done ? 0 : GetLastError(), false);
    if (errno !== c.ERROR_IO_PENDING) this.complete(socket, event, errno, 0);
  }

  #sendPiece(socket: Win32Socket, event: Overlapped, state: FileInFlight, length: number): void {
    state.filled = length;
    const { address } = state.buffer!;
    const { words } = event.block;
    const overlapped = this.#engine.prepare(event);
    const at = (event.offset + EVENT_BUFFERS) >> 2;
    words[at] = length;
    words[at + (WSABUF.buf >> 2)] = address;
    words[at + (WSABUF.buf >> 2) + 1] = Math.floor(address / 0x100000000);
    const { scratch } = this.#engine;
    const done = WSASend(socket.handle, overlapped + EVENT_BUFFERS, 1, scratch.address, 0, overlapped, 0) === 0;
    const errno = this.#engine.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno !== c.ERROR_IO_PENDING) this.complete(socket, event, errno, done ? scratch.words[PAGE.bytes]! : 0);
  }

  #end(socket: Win32Socket, { handle, buffer }: FileInFlight): void {
    socket.file = null;
    if (handle >= 0) close(handle);
    if (buffer !== null) this.#free.push(buffer);
  }

  #prepare(event: Overlapped, offset: number): number {
    const overlapped = this.#engine.prepare(event);
    const { words } = event.block;
    const at = (event.offset + OVERLAPPED.Offset) >> 2;
    words[at] = offset;
    words[at + 1] = Math.floor(offset / 0x100000000);
    return overlapped;
  }
}

function close(handle: number): void {
  disown(Owned.Handle, handle);
  CloseHandle(handle);
}
