// Connecting: connect() on a non-blocking socket, which is writable, or has failed, when the kernel is done.

import { endpointText, isPipe } from '../../contract/endpoint.js';
import type { IocpError } from '../../contract/errors.js';
import {
  type Endpoint,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type SocketOptions,
} from '../../contract/port.js';
import { LocalConnects } from '../../port/local-connects.js';
import type { Port } from '../../port/port.js';
import { ADDRESS_SIZE, addressText, writeAddress } from '../address.js';
import { ECANCELED, EINPROGRESS, linuxPacketError } from '../errors.js';
import { SO_ERROR, SOCK_NONBLOCK, SOL_SOCKET } from '../layout.js';
import { connectSocket, errno } from '../libc.js';
import { ARGUMENTS } from '../messages.js';
import { getOption } from '../socket-options.js';
import { connectLocal, createSocket } from '../sockets.js';
import type { EpollSocket } from './socket.js';
import type { Watching } from './watching.js';

export class Connector {
  readonly #port: Port<EpollSocket>;
  readonly #watching: Watching;
  readonly #local: LocalConnects<EpollSocket>;
  readonly #address = Buffer.alloc(ADDRESS_SIZE);

  constructor(port: Port<EpollSocket>, watching: Watching) {
    this.#port = port;
    this.#watching = watching;
    this.#local = new LocalConnects(
      (socket, remote) => connectLocal(socket.handle, remote, SOCK_NONBLOCK),
      (socket, event, error) => port.queue(Operation.Connect, socket, event, error),
    );
  }

  /** Throws an IocpError. */
  connect(socket: EpollSocket, event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void {
    const action = `connect to ${endpointText(remote)}`;
    const length = writeAddress(remote, event.block.bytes, event.offset + ARGUMENTS, action);
    socket.handle = createSocket(remote, options, action, SOCK_NONBLOCK);
    if (isPipe(remote)) {
      this.#local.start(socket, event, remote);
      return;
    }
    event.block.bytes.copy(this.#address, 0, event.offset + ARGUMENTS, event.offset + ARGUMENTS + length);
    const failed = connectSocket(socket.handle, this.#address, length) < 0 ? errno() : 0;
    if (failed === EINPROGRESS) {
      socket.connects = true;
      // Not before: a socket that is not connecting yet is writable.
      const refused = this.#watching.writes(socket);
      if (refused !== 0) this.#end(socket, event, linuxPacketError(action, 'epoll_ctl', refused));
    } else {
      this.#end(socket, event, failed === 0 ? null : linuxPacketError(action, 'connect', failed));
    }
  }

  cancel(socket: EpollSocket, event: Overlapped): void {
    this.#local.cancel(socket);
    if (socket.connects) this.#end(socket, event, linuxPacketError(actionOf(event), 'connect', ECANCELED));
  }

  /** Tries local connects again that found no room in the backlog. */
  retry(): void {
    this.#local.retry();
  }

  /** The kernel is done with a connect. */
  complete(socket: EpollSocket): void {
    const event = socket.connecting!;
    const failed = getOption(socket.handle, SOL_SOCKET, SO_ERROR);
    this.#end(socket, event, failed === 0 ? null : linuxPacketError(actionOf(event), 'connect', failed));
  }

  #end(socket: EpollSocket, event: Overlapped, error: IocpError | null): void {
    socket.connects = false;
    this.#port.queue(Operation.Connect, socket, event, error);
  }
}

/** The text of a connect's target, from the address in its event. */
function actionOf({ block, offset }: Overlapped): string {
  return `connect to ${addressText(block.bytes, offset + ARGUMENTS)}`;
}
