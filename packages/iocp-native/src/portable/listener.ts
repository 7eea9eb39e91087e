// A listening socket over a net.Server. The server accepts on its own; each connection goes to the accept that waited
// longest, or waits itself.

import type { Server, Socket } from 'node:net';
import { hasNoAddress, told } from '../contract/endpoint.js';
import type { IocpError } from '../contract/errors.js';
import { type Endpoint, Operation, type Overlapped } from '../contract/port.js';
import { SocketFile } from '../port/socket-file.js';
import { canceled, closed, fromNode, notConnected } from './errors.js';
import { type Host, PortableHandle } from './handle.js';
import { PortableSocket } from './socket.js';

export class PortableListener extends PortableHandle {
  readonly #server: Server;
  /** Null for a local one. */
  readonly #local: Endpoint | null;
  /** What node:net has of a local one, and the file that this is, if it is one. */
  readonly #path: string | null;
  readonly #file: SocketFile | null;
  // At most one of the two has anything in it.
  #accepts: Overlapped[] = [];
  #connections: PortableSocket[] = [];

  /** @param server one that listens, with pauseOnConnect and allowHalfOpen. */
  constructor(host: Host, server: Server) {
    super(host);
    this.#server = server;
    const at = server.address();
    this.#path = typeof at === 'string' ? at : null;
    this.#file = this.#path === null ? null : SocketFile.of(this.#path);
    this.#local = typeof at === 'object' && at !== null ? told(at.address, at.port) : null;
    host.opened(this);
    server.unref();
    server.on('connection', (raw) => this.#onConnection(raw));
    server.on('error', (cause) => {
      const event = this.#accepts.shift();
      if (event) this.#fail(event, fromNode('accept a connection', 'accept', cause));
    });
  }

  accept(event: Overlapped): void {
    this.host.start(this, event);
    const socket = this.#connections.shift();
    if (socket) this.#give(socket, event);
    else this.#accepts.push(event);
  }

  override cancel(event: Overlapped): void {
    const at = this.#accepts.indexOf(event);
    if (at === -1) return;
    this.#accepts.splice(at, 1);
    this.#fail(event, canceled('accept a connection', 'accept'));
  }

  override close(): void {
    this.closing = true;
    this.host.start(this, null);
    this.#closeServer();
    for (const event of this.#accepts) this.#fail(event, canceled('accept a connection', 'accept'));
    for (const socket of this.#connections) this.#give(socket, null);
    this.#accepts = [];
    this.#connections = [];
    this.host.queue(Operation.Close, this, null, null);
    this.host.gone(this);
  }

  override abandon(): void {
    this.#closeServer();
    this.#accepts = [];
    this.host.gone(this);
  }

  override localEndpoint(): Endpoint {
    if (this.closing) throw closed('get the local endpoint', 'socket', 'getsockname');
    if (this.#local === null) throw hasNoAddress('getsockname');
    return this.#local;
  }

  override remoteEndpoint(): Endpoint {
    if (this.closing) throw closed('get the remote endpoint', 'socket', 'getpeername');
    throw notConnected('get the remote endpoint', 'getpeername');
  }

  /** For connections accepted from now on they come from the options of listen(); a listener itself sends nothing. */
  override setNoDelay(): void {
    if (this.closing) throw closed('set TCP_NODELAY', 'socket', 'setsockopt');
  }

  override setKeepAlive(): void {
    if (this.closing) throw closed('set SO_KEEPALIVE', 'socket', 'setsockopt');
  }

  /** libuv removes the file that has its listener's name by then, whoever made it. */
  #closeServer(): void {
    if (this.#file === null) this.#server.close();
    else this.#file.removeBy(this.#path!, () => this.#server.close());
  }

  #onConnection(raw: Socket): void {
    const socket = new PortableSocket(this.host, raw);
    const event = this.#accepts.shift();
    if (event) this.#give(socket, event);
    else this.#connections.push(socket);
  }

  #give(socket: PortableSocket, event: Overlapped | null): void {
    this.host.queue(Operation.Accept, this, event, null, event !== null).socket = socket;
  }

  #fail(event: Overlapped, error: IocpError): void {
    this.host.queue(Operation.Accept, this, event, error).socket = null;
  }
}
