// How a socket gets its handle, and how it loses it: association with the port, CancelIoEx, and the close.

import type { DatagramState } from '../port/datagrams.js';
import type { Port } from '../port/port.js';
import type { Kind } from '../port/socket.js';
import { FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE, STATUS_PENDING } from './constants.js';
import { win32Error } from './errors.js';
import { addressOf, type KernelQueue, statusOf } from './kernel-queue.js';
import { CancelIoEx, GetLastError, SetFileCompletionNotificationModes } from './kernel32.js';
import { closePipe } from './pipe.js';
import { type Listening, Win32Socket } from './socket.js';
import { isWine } from './system.js';
import { closeHandle, discardHandle, hasIfsHandles } from './winsock.js';

/** Milliseconds that the kernel has to end canceled operations. After that the handle is closed, which ends the rest. */
const PATIENCE = 1000;
/**
 * Calls of CancelIoEx for one send under Wine, which overlooks a send of which it is moving bytes at that moment. Windows
 * writes the status of an operation only when its packet is taken: there a second call would say the same.
 */
const CANCELS_OF_WINE = 1000;
const SKIP = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;

/** The kinds of a new socket beside a connection. */
interface SocketParts {
  readonly listening?: Listening;
  readonly datagrams?: DatagramState;
}

export class SocketHandles {
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  /** Sockets whose close began since the last tick of the timer, and those whose close began before it. */
  #closing = new Set<Win32Socket>();
  #closingLong = new Set<Win32Socket>();
  #timer: NodeJS.Timeout | null = null;
  readonly #mostCancels = isWine() ? CANCELS_OF_WINE : 1;

  constructor(port: Port<Win32Socket>, queue: KernelQueue) {
    this.#port = port;
    this.#queue = queue;
  }

  /** Adds a socket for a handle of Winsock. Closes the handle and throws an IocpError when that fails. */
  add(kind: Kind, handle: number, action: string, { listening, datagrams }: SocketParts = {}): Win32Socket {
    const socket = this.#port.add(new Win32Socket(this.#port, kind, listening, datagrams));
    try {
      this.attach(socket, handle, action);
    } catch (error) {
      this.#port.remove(socket);
      throw error;
    }
    return socket;
  }

  /** Gives a socket its handle. Closes the handle and throws an IocpError when that fails. */
  attach(socket: Win32Socket, handle: number, action: string): void {
    if (!this.#queue.associate(socket, handle)) {
      const errno = GetLastError();
      discardHandle(handle);
      throw win32Error(action, 'CreateIoCompletionPort', errno);
    }
    socket.handle = handle;
    // On every Windows known, datagram sockets queue their packets in this mode, too.
    const maySkip = socket.datagrams === null && hasIfsHandles(handle);
    socket.skipsPacketOnSuccess = maySkip && SetFileCompletionNotificationModes(handle, SKIP) !== 0;
  }

  /** Gives a socket of a pipe its handle. Closes that and throws an IocpError when that fails. */
  attachPipe(socket: Win32Socket, handle: number, action: string): void {
    if (!this.#queue.associate(socket, handle)) {
      const errno = GetLastError();
      closePipe(handle, socket.pipe!.end, true);
      throw win32Error(action, 'CreateIoCompletionPort', errno);
    }
    socket.handle = handle;
  }

  /**
   * Has the kernel end one operation, or with 0 all of a socket. Their packets tell the result. A failure changes nothing:
   * there was nothing to end, or the provider lacks the call.
   */
  cancel(socket: Win32Socket, overlapped: number): void {
    const { sending, file } = socket;
    // A file that is being read for its send has a handle of its own.
    const sends = sending !== null && (file === null || file.handle < 0 || file.filled > 0);
    const ofSend = sends && (overlapped === 0 || overlapped === addressOf(sending));
    for (let calls = ofSend ? this.#mostCancels : 1; calls > 0; calls--) {
      if (socket.handle < 0 || CancelIoEx(socket.handle, overlapped) !== 0) return;
      if (!ofSend || statusOf(sending) !== STATUS_PENDING) return;
    }
  }

  /**
   * The operations of a socket were canceled, and its close waits for their packets. A socket that is to be reset has its
   * handle closed at once, and others when the packets take long: that ends operations that a cancel could not end. The slot stays taken
   * until the last packet, so a late packet finds its socket.
   */
  closeSoon(socket: Win32Socket): void {
    if (socket.reset && socket.pipe === null) {
      this.close(socket);
      return;
    }
    this.#closing.add(socket);
    this.#timer ??= setTimeout(this.#closeLate, PATIENCE).unref();
  }

  /** Closes the handle of a socket, if it is open. */
  close(socket: Win32Socket): void {
    const { handle, pipe, reset } = socket;
    this.#closing.delete(socket);
    this.#closingLong.delete(socket);
    socket.handle = -1;
    if (handle < 0) return;
    if (pipe !== null) closePipe(handle, pipe.end, reset);
    else closeHandle(handle, reset);
  }

  readonly #closeLate = (): void => {
    for (const socket of this.#closingLong) this.close(socket);
    this.#closingLong = this.#closing;
    this.#closing = new Set();
    this.#timer = this.#closingLong.size > 0 ? setTimeout(this.#closeLate, PATIENCE).unref() : null;
  };
}
