// Connecting: a new socket, and the address that it wants in its event's own memory.

import { type CompletionPacket, type Endpoint, Operation, type Overlapped, type SocketOptions } from '../contract.js';
import { endpointText } from '../endpoint.js';
import type { IocpError } from '../errors.js';
import { readSockaddr, writeSockaddr } from '../sockaddr.js';
import { ARGUMENTS, fill } from './completion.js';
import type { Engine } from './engine.js';
import { linuxError } from './errors.js';
import { AF_INET6, OP } from './layout.js';
import { createSocket, type UringSocket } from './socket.js';

export class Connector {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  connect(event: Overlapped, remote: Endpoint, key: unknown, options: SocketOptions = {}): UringSocket {
    const at = event.offset + ARGUMENTS;
    const length = writeSockaddr(remote, event.block.bytes, at, AF_INET6);
    let handle = -1;
    let failure: IocpError | null = null;
    try {
      handle = createSocket(remote.family, options, connectAction(event));
    } catch (error) {
      failure = error as IocpError;
    }
    const socket = this.#engine.addSocket(handle, null);
    socket.key = key;
    this.#engine.start(socket, event);
    if (failure) {
      this.#engine.queueEnd(Operation.Connect, socket, event, failure);
    } else {
      socket.connecting = event;
      const address = event.block.address + at;
      this.#engine.submit(OP.CONNECT, socket, event.tag, Operation.Connect, address, 0, 0, length, 0);
    }
    return socket;
  }

  /** A connect's completion: fills the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, packet: CompletionPacket): boolean {
    socket.connecting = null;
    const error = result < 0 ? linuxError(connectAction(event), 'connect', -result) : null;
    fill(packet, Operation.Connect, socket.key, event, socket, 0, error);
    this.#engine.finish(socket, event);
    return true;
  }
}

/** What a connect wanted, from the address that it left in its event. */
function connectAction(event: Overlapped): string {
  return `connect to ${endpointText(readSockaddr(event.block.bytes, event.offset + ARGUMENTS))}`;
}
