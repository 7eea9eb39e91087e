// A listening socket over a net.Server. The server accepts by itself. Each connection goes to the oldest accept, or waits for
// one.

import type { Server, Socket } from 'node:net';
import { hasNoAddress, told } from '../contract/endpoint.js';
import type { IocpError } from '../contract/errors.js';
import { type Endpoint, Operation, type Overlapped } from '../contract/port.js';
import { LoopSocket } from '../port/loop-socket.js';
import { Kind } from '../port/socket.js';
import { SocketFile } from '../port/socket-file.js';
import type { PortableDriver } from './driver.js';
import { canceled, fromNode, notConnected } from './errors.js';
import { PortableSocket } from './socket.js';

export class PortableListener extends LoopSocket<PortableDriver> {
  readonly #server: Server;
  /** Null for a local listener. */
  readonly #local: Endpoint | null;
  /** The path of a local listener, as node:net has it, and the file of that path if there is one. */
  readonly #path: string | null;
  readonly #file: SocketFile | null;
  // One of the two is empty.
  #accepts: Overlapped[] = [];
  #connections: PortableSocket[] = [];

  /** @param server one that listens, with pauseOnConnect and allowHalfOpen. */
  constructor(driver: PortableDriver, server: Server) {
    super(driver, Kind.Listener);
    this.#server = server;
    const at = server.address();
    this.#path = typeof at === 'string' ? at : null;
    this.#file = this.#path === null ? null : SocketFile.of(this.#path);
    this.#local = typeof at === 'object' && at !== null ? told(at.address, at.port) : null;
    server.unref();
    server.on('connection', (raw) => this.#onConnection(raw));
    server.on('error', (cause) => {
      const event = this.#accepts.shift();
      if (event) this.#fail(event, fromNode('accept a connection', 'accept', cause));
    });
  }

  /** After close() the server has no more callbacks. */
  override get gone(): boolean {
    return this.closing;
  }

  override accept(event: Overlapped): void {
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
    // libuv removes the file that has its listener's name by then, whichever file that is.
    if (this.#file === null) this.#server.close();
    else this.#file.removeBy(this.#path!, () => this.#server.close());
    for (const event of this.#accepts) this.#fail(event, canceled('accept a connection', 'accept'));
    for (const socket of this.#connections) {
      this.port.begin(this, null);
      this.#give(socket, null);
    }
    this.#accepts = [];
    this.#connections = [];
  }

  /** close() has ended all accepts. */
  override abandon(): void {}

  override localEndpoint(): Endpoint {
    this.assertOpen('get the local endpoint', 'getsockname');
    if (this.#local === null) throw hasNoAddress('getsockname');
    return this.#local;
  }

  override remoteEndpoint(): Endpoint {
    this.assertOpen('get the remote endpoint', 'getpeername');
    throw notConnected('get the remote endpoint', 'getpeername');
  }

  /** node:net has no options of a server that listens. Connections that it accepts have the options of listen(). */
  protected override applyOption(): void {}

  #onConnection(raw: Socket): void {
    const socket = new PortableSocket(this.driver, raw);
    this.port.add(socket);
    const event = this.#accepts.shift();
    if (event) this.#give(socket, event);
    else this.#connections.push(socket);
  }

  #give(socket: PortableSocket, event: Overlapped | null): void {
    this.port.queue(Operation.Accept, this, event, null).socket = socket;
  }

  #fail(event: Overlapped, error: IocpError): void {
    this.port.queue(Operation.Accept, this, event, error).socket = null;
  }
}
