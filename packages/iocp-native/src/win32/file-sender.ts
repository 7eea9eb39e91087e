// Sending files. On servers that is one TransmitFile. Editions for clients perform two of those at a time, of all programs
// together: two peers that do not read would stop all others. So there a piece is read and sent, by turns.
//
//   read -> send -> read -> send ...
//
// The reads are overlapped, too. A descriptor of Node's is not, so its file is opened once more. That handle is associated
// with the port under the key of the socket. The buffer belongs to this send until it ends: the kernel reads the bytes of an
// overlapped send as long as the peer does not take them.

import { endsEarly, type IocpError, isIocpError } from '../contract/errors.js';
import type { Overlapped } from '../contract/port.js';
import { disown, Owned, own, taken } from '../native/ledger.js';
import type { NativeBlock } from '../native/memory.js';
import type { Port } from '../port/port.js';
import * as c from './constants.js';
import { win32PacketError } from './errors.js';
import { handleOf } from './file.js';
import { addressOf, canceled, type KernelQueue } from './kernel-queue.js';
import { CancelIoEx, CloseHandle, GetLastError, ReadFile, ReOpenFile } from './kernel32.js';
import { EVENT_BUFFERS, OVERLAPPED, PAGE } from './layout.js';
import { queueSend, writeBuffer } from './sender.js';
import type { Win32Socket } from './socket.js';
import type { SocketHandles } from './socket-handles.js';
import { isClientEdition } from './system.js';
import { TransmitFile, WSAGetLastError, WSASend } from './ws2_32.js';

/** Bytes of a read, and of a buffer. */
const PIECE = 65_536;

/** A send of a file. */
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
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  readonly #handles: SocketHandles;
  readonly #free: NativeBlock[] = [];

  constructor(port: Port<Win32Socket>, queue: KernelQueue, handles: SocketHandles) {
    this.#port = port;
    this.#queue = queue;
    this.#handles = handles;
  }

  send(socket: Win32Socket, event: Overlapped, file: number, offset: number, length: number): void {
    if (socket.pipe !== null) {
      const error = win32PacketError('send a file to a pipe', 'TransmitFile', c.ERROR_NOT_SUPPORTED);
      queueSend(this.#port, socket, event, error, 0);
      return;
    }
    const state = { handle: -1, buffer: null, offset, left: length, sent: 0, filled: 0, canceled: false };
    if (!isClientEdition()) {
      socket.file = state;
      this.#transmit(socket, event, file, state);
      return;
    }
    try {
      const buffer = this.#free.pop() ?? this.#port.allocate(PIECE, true);
      const opened = { ...state, buffer, handle: this.#open(socket, file, buffer) };
      socket.file = opened;
      this.#read(socket, event, opened);
    } catch (error) {
      if (!isIocpError(error)) throw error;
      queueSend(this.#port, socket, event, error, 0);
    }
  }

  /** The send ends early. Its packet still comes. */
  cancel(socket: Win32Socket): void {
    const state = socket.file!;
    const event = socket.sending!;
    const overlapped = addressOf(event);
    state.canceled = true;
    if (state.handle >= 0 && state.filled === 0) CancelIoEx(state.handle, overlapped);
    else this.#handles.cancel(socket, overlapped);
  }

  /** A TransmitFile, a read or a send has ended with this NTSTATUS or error number. */
  complete(socket: Win32Socket, event: Overlapped, errno: number, bytes: number): void {
    // A call that fails at once may leave STATUS_PENDING there.
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
    queueSend(this.#port, socket, event, error, state.sent);
  }

  #failure(state: FileInFlight, reading: boolean, errno: number): IocpError {
    const syscall = state.handle < 0 ? 'TransmitFile' : reading ? 'ReadFile' : 'WSASend';
    const error = win32PacketError('send a file', syscall, errno);
    // Windows aborts the connection when a TransmitFile is canceled, and reports that.
    const answersCancel = state.canceled && state.handle < 0 && error.code === 'ECONNABORTED';
    return answersCancel ? canceled('send a file', syscall) : error;
  }

  #transmit(socket: Win32Socket, event: Overlapped, file: number, { offset, left }: FileInFlight): void {
    const overlapped = this.#prepare(event, offset);
    const done = TransmitFile(socket.handle, handleOf(file), left, 0, overlapped, 0, 0) !== 0;
    const errno = this.#queue.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
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
      if (this.#queue.associate(socket, handle)) return handle;
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
    const errno = this.#queue.outcome(done ? 0 : GetLastError(), false);
    if (errno !== c.ERROR_IO_PENDING) this.complete(socket, event, errno, 0);
  }

  #sendPiece(socket: Win32Socket, event: Overlapped, state: FileInFlight, length: number): void {
    state.filled = length;
    const { address } = state.buffer!;
    const overlapped = this.#queue.prepare(event);
    writeBuffer(event.block.words, (event.offset + EVENT_BUFFERS) >> 2, address, length);
    const { page } = this.#queue;
    const done = WSASend(socket.handle, overlapped + EVENT_BUFFERS, 1, page.address, 0, overlapped, 0) === 0;
    const errno = this.#queue.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno !== c.ERROR_IO_PENDING) this.complete(socket, event, errno, done ? page.words[PAGE.bytes]! : 0);
  }

  #end(socket: Win32Socket, { handle, buffer }: FileInFlight): void {
    socket.file = null;
    if (handle >= 0) close(handle);
    if (buffer !== null) this.#free.push(buffer);
  }

  #prepare(event: Overlapped, offset: number): number {
    const overlapped = this.#queue.prepare(event);
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
