// Connecting: a new socket, and the address that it wants in its event's own memory.

import assert from 'node:assert';
import { endpointText, isPipe } from '../../contract/endpoint.js';
import type { IocpError } from '../../contract/errors.js';
import {
  type CompletionPacket,
  type Endpoint,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type SocketOptions,
} from '../../contract/port.js';
import { LocalConnects } from '../../port/local-connects.js';
import { addressText, writeAddress } from '../address.js';
import { linuxPacketError } from '../errors.js';
import { OP } from '../layout.js';
import { ARGUMENTS, argumentsOf } from '../messages.js';
import { connectLocal, createSocket } from '../sockets.js';
import { fill } from './completion.js';
import type { Engine } from './engine.js';
import type { UringSocket } from './socket.js';

export class Connector {
  readonly #engine: Engine;
  readonly #local: LocalConnects<UringSocket>;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#local = new LocalConnects(
      (socket, remote) => connectLocal(socket.handle, remote, 0),
      (socket, event, error) => {
        socket.connecting = null;
        engine.queueEnd(Operation.Connect, socket, event, error);
      },
    );
  }

  connect(event: Overlapped, remote: Endpoint | PipeEndpoint, key: unknown, options: SocketOptions = {}): UringSocket {
    // Before the address is written, which would else become that of the operation which has the event.
    assert(!event.pending, 'the event is in use by another operation');
    const at = event.offset + ARGUMENTS;
    const action = `connect to ${endpointText(remote)}`;
    let length = 0;
    let handle = -1;
    let failure: IocpError | null = null;
    try {
      length = writeAddress(remote, event.block.bytes, at, action);
      handle = createSocket(remote, options, action, 0);
    } catch (error) {
      failure = error as IocpError;
    }
    const socket = this.#engine.addSocket(handle, null);
    socket.key = key;
    this.#engine.start(socket, event);
    if (failure) {
      this.#engine.queueEnd(Operation.Connect, socket, event, failure);
    } else if (isPipe(remote)) {
      socket.connecting = event;
      this.#local.start(socket, event, remote);
    } else {
      socket.connecting = event;
      this.#engine.submit(OP.CONNECT, socket, event.tag, Operation.Connect, argumentsOf(event), 0, 0, length, 0);
    }
    return socket;
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    this.#local.cancel(socket);
    this.#engine.cancel(socket, Operation.Connect, event.tag);
  }

  /** Tries again what found no room in the backlog of a local listener. */
  retry(): void {
    this.#local.retry();
  }

  /** A connect's completion: fills the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, packet: CompletionPacket): boolean {
    socket.connecting = null;
    const action = () => `connect to ${addressText(event.block.bytes, event.offset + ARGUMENTS)}`;
    const error = result < 0 ? linuxPacketError(action(), 'connect', -result) : null;
    fill(packet, Operation.Connect, socket.key, event, socket, 0, error);
    this.#engine.finish(socket, event);
    return true;
  }
}
