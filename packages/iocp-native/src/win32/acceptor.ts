// Accepting: each accept is an AcceptEx into a socket of its own.

import { endpointText, isPipe } from '../contract/endpoint.js';
import type { IocpError } from '../contract/errors.js';
import { type Endpoint, type ListenOptions, Operation, type Overlapped, type PipeEndpoint } from '../contract/port.js';
import type { Port } from '../port/port.js';
import { Kind } from '../port/socket.js';
import {
  ERROR_IO_PENDING,
  ERROR_NETNAME_DELETED,
  STATUS_CONNECTION_RESET,
  WSAECONNABORTED,
  WSAECONNRESET,
} from './constants.js';
import { win32PacketError } from './errors.js';
import { addressOf, canceled, type KernelQueue, statusOf } from './kernel-queue.js';
import { ACCEPT_ADDRESS_SIZE, EVENT_ADDRESSES } from './layout.js';
import { PipeAcceptor, PipeListenerState } from './pipe-acceptor.js';
import type { Win32Socket } from './socket.js';
import type { SocketHandles } from './socket-handles.js';
import { createListener, createSocket, discardHandle, finishAccept, orClose } from './winsock.js';
import { AcceptEx, WSAGetLastError } from './ws2_32.js';

const ACTION = 'accept a connection';

/** An AcceptEx in flight: its event, and the socket that it accepts into. */
interface PendingAccept {
  readonly event: Overlapped;
  readonly handle: number;
}

/** The state of a listener on an address. */
export class ListenerState {
  readonly family: 4 | 6;
  readonly options: ListenOptions;
  /** By the address of the OVERLAPPED. */
  readonly accepts = new Map<number, PendingAccept>();

  constructor(family: 4 | 6, options: ListenOptions) {
    this.family = family;
    this.options = options;
  }
}

export class Acceptor {
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  readonly #handles: SocketHandles;
  readonly #pipes: PipeAcceptor;

  constructor(port: Port<Win32Socket>, queue: KernelQueue, handles: SocketHandles) {
    this.#port = port;
    this.#queue = queue;
    this.#handles = handles;
    this.#pipes = new PipeAcceptor(port, queue, handles);
  }

  /** Throws an IocpError. */
  listen(local: Endpoint | PipeEndpoint, options: ListenOptions): Win32Socket {
    if (isPipe(local)) return this.#pipes.listen(local, options);
    const listening = new ListenerState(local.family, options);
    const handle = createListener(local, options);
    return this.#handles.add(Kind.Listener, handle, `listen on ${endpointText(local)}`, { listening });
  }

  accept(listener: Win32Socket, event: Overlapped): void {
    const listening = listener.listening!;
    if (listening instanceof PipeListenerState) {
      this.#pipes.accept(listener, listening, event);
      return;
    }
    let handle: number;
    try {
      handle = createSocket(listening.family, ACTION);
    } catch (error) {
      this.#fail(listener, event, error as IocpError);
      return;
    }
    const overlapped = this.#queue.prepare(event);
    const accept: PendingAccept = { event, handle };
    listening.accepts.set(overlapped, accept);
    const called = this.#call(listener.handle, handle, overlapped);
    const errno = this.#queue.outcome(called, listener.skipsPacketOnSuccess);
    if (errno === ERROR_IO_PENDING) return;
    listening.accepts.delete(overlapped);
    this.#done(listener, listening, accept, errno);
  }

  cancel(listener: Win32Socket, event: Overlapped): void {
    const listening = listener.listening!;
    const overlapped = addressOf(event);
    if (listening instanceof PipeListenerState) this.#pipes.cancel(listening, event);
    else if (listening.accepts.has(overlapped)) this.#handles.cancel(listener, overlapped);
  }

  /** Ends the accepts of a listener that closes. */
  close(listener: Win32Socket): void {
    const { listening } = listener;
    if (listening instanceof PipeListenerState) this.#pipes.close(listening);
    else this.#handles.cancel(listener, 0);
  }

  /** The packet of a ConnectNamedPipe. */
  completePipe(instance: Win32Socket, status: number): void {
    this.#pipes.complete(instance, status);
  }

  /** The packet of an AcceptEx. False when this listener has none at that address. */
  complete(listener: Win32Socket, overlapped: number): boolean {
    const { listening } = listener;
    if (!(listening instanceof ListenerState)) return false;
    const accept = listening.accepts.get(overlapped);
    if (accept === undefined) return false;
    listening.accepts.delete(overlapped);
    this.#done(listener, listening, accept, statusOf(accept.event));
    return true;
  }

  #call(listener: number, handle: number, overlapped: number): number {
    const { page } = this.#queue;
    const size = ACCEPT_ADDRESS_SIZE;
    // No receive length: a client that sends nothing would hold the accept for ever.
    const output = overlapped + EVENT_ADDRESSES;
    return AcceptEx(listener, handle, output, 0, size, size, page.address, overlapped) ? 0 : WSAGetLastError();
  }

  #done(listener: Win32Socket, { options }: ListenerState, { event, handle }: PendingAccept, errno: number): void {
    if (errno !== 0) {
      discardHandle(handle);
      this.#fail(listener, event, acceptError(errno));
      return;
    }
    try {
      orClose(handle, () => finishAccept(handle, listener.handle, options));
      // A handle is associated with one port for ever: the port that adopts a detached one does that.
      const connection = options.detached ? null : this.#handles.add(Kind.Connection, handle, ACTION);
      const packet = this.#port.queue(Operation.Accept, listener, event, null);
      packet.socket = connection;
      if (connection === null) packet.handle = handle;
    } catch (error) {
      this.#fail(listener, event, error as IocpError);
    }
  }

  #fail(listener: Win32Socket, event: Overlapped, error: IocpError): void {
    this.#port.queue(Operation.Accept, listener, event, error).socket = null;
  }
}

/** A connection that was reset before it was accepted is, by its portable name, one that was aborted. */
function acceptError(errno: number): IocpError {
  const code = errno >>> 0;
  const reset = code === WSAECONNRESET || code === ERROR_NETNAME_DELETED || code === STATUS_CONNECTION_RESET;
  if (reset) return win32PacketError(ACTION, 'AcceptEx', WSAECONNABORTED);
  const error = win32PacketError(ACTION, 'AcceptEx', errno);
  return error.code === 'ECANCELED' ? canceled(ACTION, 'AcceptEx') : error;
}
