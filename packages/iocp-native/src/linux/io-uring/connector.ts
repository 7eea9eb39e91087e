// Connecting: a new socket; the address of its peer lies in the event.

import { endpointText, isPipe } from '../../contract/endpoint.js';
import {
  type CompletionPacket,
  type Endpoint,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type SocketOptions,
} from '../../contract/port.js';
import { LocalConnects } from '../../port/local-connects.js';
import type { Port } from '../../port/port.js';
import { addressText, writeAddress } from '../address.js';
import { linuxPacketError } from '../errors.js';
import { ARGUMENTS, argumentsOf } from '../messages.js';
import { fill } from '../packets.js';
import { connectLocal, createSocket } from '../sockets.js';
import { cancelOperation, setOwner } from './completions.js';
import type { Ring } from './ring.js';
import type { UringSocket } from './socket.js';
import { prepConnect } from './submissions.js';

export class Connector {
  readonly #port: Port<UringSocket>;
  readonly #ring: Ring;
  readonly #local: LocalConnects<UringSocket>;

  constructor(port: Port<UringSocket>, ring: Ring) {
    this.#port = port;
    this.#ring = ring;
    this.#local = new LocalConnects(
      (socket, remote) => connectLocal(socket.handle, remote, 0),
      (socket, event, error) => port.queue(Operation.Connect, socket, event, error),
    );
  }

  /** Throws an IocpError. */
  connect(socket: UringSocket, event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void {
    const action = `connect to ${endpointText(remote)}`;
    const length = writeAddress(remote, event.block.bytes, event.offset + ARGUMENTS, action);
    socket.handle = createSocket(remote, options, action, 0);
    if (isPipe(remote)) {
      this.#local.start(socket, event, remote);
      return;
    }
    socket.connectArmed = true;
    const entry = prepConnect(this.#ring, socket.handle, argumentsOf(event), length);
    setOwner(this.#ring, entry, socket, Operation.Connect, event.tag);
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    this.#local.cancel(socket);
    if (socket.connectArmed) cancelOperation(this.#ring, socket, Operation.Connect, event.tag);
  }

  /** Tries the connects again that found the backlog of a local listener full. */
  retry(): void {
    this.#local.retry();
  }

  /** A connect's completion: fills the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, packet: CompletionPacket): boolean {
    socket.connectArmed = false;
    const action = () => `connect to ${addressText(event.block.bytes, event.offset + ARGUMENTS)}`;
    const error = result < 0 ? linuxPacketError(action(), 'connect', -result) : null;
    fill(packet, Operation.Connect, socket.key, event, socket, 0, error);
    this.#port.finish(socket, event);
    return true;
  }
}
