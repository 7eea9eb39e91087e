// Connecting: ConnectEx from a new socket, to the address that it wants in its event's own memory.

import assert from 'node:assert';
import { endpointText, isPipe } from '../contract/endpoint.js';
import type { IocpError } from '../contract/errors.js';
import { type Endpoint, Operation, type Overlapped, type PipeEndpoint, type SocketOptions } from '../contract/port.js';
import { readSockaddr, writeSockaddr } from '../native/sockaddr.js';
import { LocalConnects } from '../port/local-connects.js';
import { AF_INET6, ERROR_IO_PENDING, ERROR_OPERATION_ABORTED } from './constants.js';
import type { Engine } from './engine.js';
import { win32PacketError } from './errors.js';
import { EVENT_ADDRESSES } from './layout.js';
import { openClient } from './pipe.js';
import { createConnector, finishConnect, type Win32Socket } from './socket.js';
import { isLoopback, reachSelf } from './target.js';
import { ConnectEx, WSAGetLastError } from './ws2_32.js';

export class Connector {
  readonly #engine: Engine;
  readonly #pipes: LocalConnects<Win32Socket>;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#pipes = new LocalConnects(
      (socket, remote) => {
        const action = `connect to ${endpointText(remote)}`;
        const handle = openClient(remote, action);
        if (handle >= 0) engine.attach(socket, handle, action);
        return handle >= 0;
      },
      (socket, event, error) => void engine.queuePacket(Operation.Connect, socket, event, error),
    );
  }

  connect(event: Overlapped, remote: Endpoint | PipeEndpoint, key: unknown, options: SocketOptions = {}): Win32Socket {
    if (isPipe(remote)) return this.#connectPipe(event, remote, key);
    // Before the address is written, which would else become that of the operation which has the event.
    assert(!event.pending, 'the event is in use by another operation');
    const action = `connect to ${endpointText(remote)}`;
    const { bytes } = event.block;
    const at = event.offset + EVENT_ADDRESSES;
    const length = writeSockaddr(remote, bytes, at, AF_INET6);
    reachSelf(bytes, at, remote.family);
    const loopback = isLoopback(bytes, at, remote.family);
    let socket: Win32Socket;
    let failure: IocpError | null = null;
    try {
      socket = this.#engine.addSocket(createConnector(remote.family, options, loopback, action), null, action);
    } catch (error) {
      failure = error as IocpError;
      socket = this.#engine.addSocket(-1, null, action);
    }
    socket.key = key;
    this.#engine.start(socket, event);
    socket.connecting = event;
    if (failure) {
      this.#engine.queuePacket(Operation.Connect, socket, event, failure);
      return socket;
    }
    const overlapped = this.#engine.prepare(event);
    const address = overlapped + EVENT_ADDRESSES;
    const { scratch } = this.#engine;
    const done = ConnectEx(socket.handle, address, length, 0, 0, scratch.address, overlapped) !== 0;
    const errno = this.#engine.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno !== ERROR_IO_PENDING) this.complete(socket, event, errno);
    return socket;
  }

  #connectPipe(event: Overlapped, remote: PipeEndpoint, key: unknown): Win32Socket {
    const socket = this.#engine.addSocket(-1, null, '', 'client');
    socket.key = key;
    this.#engine.start(socket, event);
    socket.connecting = event;
    this.#pipes.start(socket, event, remote);
    return socket;
  }

  cancel(socket: Win32Socket, event: Overlapped): void {
    if (socket.pipe !== null) this.#pipes.cancel(socket);
    else this.#engine.cancel(socket, event.block.address + event.offset);
  }

  /** Tries again what waits for a free pipe. */
  retry(): void {
    this.#pipes.retry();
  }

  /** A connect has ended with this NTSTATUS or error number. */
  complete(socket: Win32Socket, event: Overlapped, status: number): void {
    // One that is being reset has no handle any more.
    const errno = status || (socket.handle < 0 ? ERROR_OPERATION_ABORTED : finishConnect(socket.handle));
    const error = errno === 0 ? null : win32PacketError(connectAction(event), 'ConnectEx', errno);
    this.#engine.queuePacket(Operation.Connect, socket, event, error);
  }
}

/** What a connect wanted, from the address that it left in its event. */
function connectAction(event: Overlapped): string {
  return `connect to ${endpointText(readSockaddr(event.block.bytes, event.offset + EVENT_ADDRESSES))}`;
}
