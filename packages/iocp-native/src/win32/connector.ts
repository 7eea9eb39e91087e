// Connecting: ConnectEx from a new socket. The address lies in the event's own memory.

import { endpointText, isPipe } from '../contract/endpoint.js';
import { type Endpoint, Operation, type Overlapped, type PipeEndpoint, type SocketOptions } from '../contract/port.js';
import { readSockaddr, writeSockaddr } from '../native/sockaddr.js';
import { LocalConnects } from '../port/local-connects.js';
import type { Port } from '../port/port.js';
import { AF_INET6, ERROR_IO_PENDING, ERROR_OPERATION_ABORTED } from './constants.js';
import { win32PacketError } from './errors.js';
import { addressOf, type KernelQueue } from './kernel-queue.js';
import { EVENT_ADDRESSES } from './layout.js';
import { openClient, PipeState } from './pipe.js';
import type { Win32Socket } from './socket.js';
import type { SocketHandles } from './socket-handles.js';
import { isLoopback, reachSelf } from './target.js';
import { createConnector, finishConnect } from './winsock.js';
import { ConnectEx, WSAGetLastError } from './ws2_32.js';

export class Connector {
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  readonly #handles: SocketHandles;
  readonly #pipes: LocalConnects<Win32Socket>;

  constructor(port: Port<Win32Socket>, queue: KernelQueue, handles: SocketHandles) {
    this.#port = port;
    this.#queue = queue;
    this.#handles = handles;
    this.#pipes = new LocalConnects(
      (socket, remote) => {
        const action = `connect to ${endpointText(remote)}`;
        const handle = openClient(remote, action);
        if (handle >= 0) handles.attachPipe(socket, handle, action);
        return handle >= 0;
      },
      (socket, event, error) => void port.queue(Operation.Connect, socket, event, error),
    );
  }

  /** Throws an IocpError when the socket cannot be made. */
  connect(socket: Win32Socket, event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void {
    if (isPipe(remote)) {
      socket.pipe = new PipeState('client');
      this.#pipes.start(socket, event, remote);
      return;
    }
    const action = `connect to ${endpointText(remote)}`;
    const { bytes } = event.block;
    const at = event.offset + EVENT_ADDRESSES;
    const length = writeSockaddr(remote, bytes, at, AF_INET6);
    reachSelf(bytes, at, remote.family);
    const loopback = isLoopback(bytes, at, remote.family);
    this.#handles.attach(socket, createConnector(remote.family, options, loopback, action), action);
    const overlapped = this.#queue.prepare(event);
    const address = overlapped + EVENT_ADDRESSES;
    const done = ConnectEx(socket.handle, address, length, 0, 0, this.#queue.page.address, overlapped) !== 0;
    const errno = this.#queue.outcome(done ? 0 : WSAGetLastError(), socket.skipsPacketOnSuccess);
    if (errno !== ERROR_IO_PENDING) this.complete(socket, event, errno);
  }

  cancel(socket: Win32Socket, event: Overlapped): void {
    if (socket.pipe !== null) this.#pipes.cancel(socket);
    else this.#handles.cancel(socket, addressOf(event));
  }

  /** Tries again each connect that waits for a free instance of a pipe. */
  retry(): void {
    this.#pipes.retry();
  }

  /** A connect has ended with this NTSTATUS or error number. */
  complete(socket: Win32Socket, event: Overlapped, status: number): void {
    // A socket that is being reset has no handle any more.
    const errno = status || (socket.handle < 0 ? ERROR_OPERATION_ABORTED : finishConnect(socket.handle));
    const error = errno === 0 ? null : win32PacketError(connectAction(event), 'ConnectEx', errno);
    this.#port.queue(Operation.Connect, socket, event, error);
  }
}

/** The action of a connect for its error, from the address that it left in its event. */
function connectAction(event: Overlapped): string {
  return `connect to ${endpointText(readSockaddr(event.block.bytes, event.offset + EVENT_ADDRESSES))}`;
}
