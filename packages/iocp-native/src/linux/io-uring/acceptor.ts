// Accepting: one multishot accept per listener stays with the kernel while accepts wait, and the connections that it
// brings are matched with them, oldest with oldest, as AcceptEx would.

import assert from 'node:assert';
import { type CompletionPacket, Operation, type Overlapped } from '../../contract/port.js';
import { disown, Owned, own } from '../../native/ledger.js';
import { ECANCELED, linuxPacketError } from '../errors.js';
import { ACCEPT_MULTISHOT, CQE_FLAG, OP, SOCK_CLOEXEC } from '../layout.js';
import { fill } from './completion.js';
import { canceled, type Engine } from './engine.js';
import type { UringSocket } from './socket.js';

/** Connections that may pile up with no accept waiting before the multishot accept is stopped. */
export const READY_LIMIT = 1024;

export class Acceptor {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  accept(socket: UringSocket, event: Overlapped): void {
    const listener = socket.listener;
    assert(listener, 'accept on a socket that does not listen');
    this.#engine.start(socket, event);
    const handle = listener.ready.shift();
    if (handle !== undefined) {
      this.#queueConnection(socket, event, handle);
      return;
    }
    listener.waiting.push(event);
    if (!listener.armed) this.#arm(socket);
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    const waiting = socket.listener!.waiting;
    const at = waiting.indexOf(event);
    if (at < 0) return;
    waiting.splice(at, 1);
    this.#engine.queueEnd(Operation.Accept, socket, event, canceled('accept', 'accept')).socket = null;
  }

  /** A completion of the multishot accept. True when it filled the packet. */
  complete(socket: UringSocket, result: number, flags: number, packet: CompletionPacket): boolean {
    const listener = socket.listener!;
    if ((flags & CQE_FLAG.MORE) === 0) listener.armed = false;
    if (result >= 0) own(Owned.Handle, result);
    const event = result >= 0 || result !== -ECANCELED ? listener.waiting.shift() : undefined;
    if (event !== undefined) {
      const error = result >= 0 ? null : linuxPacketError('accept a connection', 'accept', -result);
      fill(packet, Operation.Accept, socket.key, event, null, 0, error);
      if (result >= 0) this.#bring(socket, result, packet);
      if (listener.detached) disown(Owned.Handle, result);
      this.#engine.finish(socket, event);
    } else if (result >= 0) {
      listener.ready.push(result);
      if (listener.ready.length === READY_LIMIT) this.#engine.cancel(socket, Operation.Accept, 0);
    }
    if (!listener.armed) {
      if (socket.closing) this.end(socket);
      else if (listener.waiting.length > 0) this.#arm(socket);
    }
    return event !== undefined;
  }

  /** Phase one of closing, once the kernel has no accept: what is ready comes out, what waits is cancelled. */
  end(socket: UringSocket): void {
    const { ready, waiting } = socket.listener!;
    for (const handle of ready.splice(0)) {
      this.#engine.begin(socket, null);
      this.#queueConnection(socket, null, handle);
    }
    for (const event of waiting.splice(0)) {
      this.#engine.queueEnd(Operation.Accept, socket, event, canceled('accept', 'accept')).socket = null;
    }
    this.#engine.closeWhenDrained(socket);
  }

  #arm(socket: UringSocket): void {
    socket.listener!.armed = true;
    this.#engine.submit(OP.ACCEPT, socket, 0, Operation.Accept, 0, 0, SOCK_CLOEXEC, 0, ACCEPT_MULTISHOT);
  }

  #queueConnection(socket: UringSocket, event: Overlapped | null, handle: number): void {
    this.#bring(socket, handle, this.#engine.queueEnd(Operation.Accept, socket, event, null));
  }

  #bring(socket: UringSocket, handle: number, packet: CompletionPacket): void {
    const { detached } = socket.listener!;
    packet.socket = detached ? null : this.#engine.addSocket(handle, null);
    if (detached) packet.handle = handle;
  }
}
