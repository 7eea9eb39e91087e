// Accepting: each accept is an AcceptEx into a socket of its own.

import assert from 'node:assert';
import { endpointText, isPipe } from '../contract/endpoint.js';
import type { IocpError } from '../contract/errors.js';
import { type Endpoint, type ListenOptions, Operation, type Overlapped, type PipeEndpoint } from '../contract/port.js';
import {
  ERROR_IO_PENDING,
  ERROR_NETNAME_DELETED,
  STATUS_CONNECTION_RESET,
  WSAECONNABORTED,
  WSAECONNRESET,
} from './constants.js';
import { canceled, type Engine } from './engine.js';
import { win32PacketError } from './errors.js';
import { ACCEPT_ADDRESS_SIZE, EVENT_ADDRESSES } from './layout.js';
import { PipeAcceptor, PipeListenerState } from './pipe-acceptor.js';
import {
  closeHandle,
  createListener,
  createSocket,
  finishAccept,
  type ListenerState,
  orClose,
  type PendingAccept,
  type Win32Socket,
} from './socket.js';
import { AcceptEx, WSAGetLastError } from './ws2_32.js';

const ACTION = 'accept a connection';

export class Acceptor {
  readonly #engine: Engine;
  readonly #pipes: PipeAcceptor;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#pipes = new PipeAcceptor(engine);
  }

  /** Throws an IocpError. */
  listen(local: Endpoint | PipeEndpoint, options: ListenOptions): Win32Socket {
    if (isPipe(local)) return this.#pipes.listen(local, options);
    const state = { family: local.family, options, accepts: new Map() };
    return this.#engine.addSocket(createListener(local, options), state, `listen on ${endpointText(local)}`);
  }

  accept(socket: Win32Socket, event: Overlapped): void {
    const { listener } = socket;
    assert(listener, 'accept on a socket that does not listen');
    if (listener instanceof PipeListenerState) {
      this.#pipes.accept(socket, listener, event);
      return;
    }
    this.#engine.start(socket, event);
    let handle: number;
    try {
      handle = createSocket(listener.family, ACTION);
    } catch (error) {
      this.#fail(socket, event, error as IocpError);
      return;
    }
    const overlapped = this.#engine.prepare(event);
    const accept: PendingAccept = { event, handle };
    listener.accepts.set(overlapped, accept);
    const errno = this.#engine.outcome(this.#call(socket.handle, handle, overlapped), socket.skipsPacketOnSuccess);
    if (errno === ERROR_IO_PENDING) return;
    listener.accepts.delete(overlapped);
    this.#done(socket, accept, errno);
  }

  cancel(socket: Win32Socket, event: Overlapped): void {
    const listener = socket.listener!;
    const overlapped = event.block.address + event.offset;
    if (listener instanceof PipeListenerState) this.#pipes.cancel(listener, event);
    else if (listener.accepts.has(overlapped)) this.#engine.cancel(socket, overlapped);
  }

  /** The accepts of a listener that closes. */
  close(socket: Win32Socket): void {
    const listener = socket.listener!;
    if (listener instanceof PipeListenerState) this.#pipes.close(listener);
    else this.#engine.cancel(socket, 0);
  }

  /** The packet of a ConnectNamedPipe. */
  completePipe(instance: Win32Socket, status: number): void {
    this.#pipes.complete(instance, status);
  }

  /** The packet of an AcceptEx. False when this listener has none at that address. */
  complete(socket: Win32Socket, overlapped: number): boolean {
    const { accepts } = socket.listener as ListenerState;
    const accept = accepts.get(overlapped);
    if (accept === undefined) return false;
    accepts.delete(overlapped);
    this.#done(socket, accept, accept.event.block.words[accept.event.offset >> 2]!);
    return true;
  }

  #call(listener: number, handle: number, overlapped: number): number {
    const { scratch } = this.#engine;
    const size = ACCEPT_ADDRESS_SIZE;
    // No receive length: a client that says nothing would hold the accept for ever.
    const output = overlapped + EVENT_ADDRESSES;
    return AcceptEx(listener, handle, output, 0, size, size, scratch.address, overlapped) ? 0 : WSAGetLastError();
  }

  #done(socket: Win32Socket, { event, handle }: PendingAccept, errno: number): void {
    if (errno !== 0) {
      closeHandle(handle);
      this.#fail(socket, event, acceptError(errno));
      return;
    }
    try {
      orClose(handle, () => finishAccept(handle, socket));
      // A handle that another port is to adopt must have none: it cannot change it.
      const { detached } = (socket.listener as ListenerState).options;
      const connection = detached ? null : this.#engine.addSocket(handle, null, ACTION);
      const packet = this.#engine.queuePacket(Operation.Accept, socket, event, null);
      packet.socket = connection;
      if (detached) packet.handle = handle;
    } catch (error) {
      this.#fail(socket, event, error as IocpError);
    }
  }

  #fail(socket: Win32Socket, event: Overlapped, error: IocpError): void {
    this.#engine.queuePacket(Operation.Accept, socket, event, error).socket = null;
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
