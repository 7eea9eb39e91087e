// Ending what is in flight: cancel() and the first phase of close(). What the kernel has is cancelled there, what waits here
// ends at once.

import { Operation, type Overlapped } from '../../contract/port.js';
import { setReset } from '../sockets.js';
import { type Acceptor, READY_LIMIT } from './acceptor.js';
import type { Connector } from './connector.js';
import type { Engine } from './engine.js';
import type { FileSender } from './file-sender.js';
import type { Receiver } from './receiver.js';
import type { Sender } from './sender.js';
import type { UringSocket } from './socket.js';

export class Ending {
  readonly #engine: Engine;
  readonly #acceptor: Acceptor;
  readonly #connector: Connector;
  readonly #receiver: Receiver;
  readonly #sender: Sender;
  readonly #files: FileSender;

  constructor(
    engine: Engine,
    acceptor: Acceptor,
    connector: Connector,
    receiver: Receiver,
    sender: Sender,
    files: FileSender,
  ) {
    this.#engine = engine;
    this.#acceptor = acceptor;
    this.#connector = connector;
    this.#receiver = receiver;
    this.#sender = sender;
    this.#files = files;
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    if (socket.listener) this.#acceptor.cancel(socket, event);
    else if (event === socket.receiving) this.#receiver.cancel(socket, event);
    else if (event === socket.connecting) this.#connector.cancel(socket, event);
    else if (event === socket.sending) this.#cancelSend(socket);
    else if (socket.datagrams) this.#engine.cancel(socket, Operation.Send, event.tag);
  }

  /** Phase one of closing. */
  close(socket: UringSocket, reset: boolean): void {
    if (socket.closing) return;
    socket.closing = true;
    if (reset && socket.handle >= 0) setReset(socket.handle);
    socket.listener?.file?.remove();
    if (socket.connecting !== null) this.#connector.cancel(socket, socket.connecting);
    if (socket.receiving !== null) this.#receiver.cancel(socket, socket.receiving);
    if (socket.sending !== null) this.#cancelSend(socket);
    if (socket.datagrams !== null) {
      for (const { tag } of socket.datagrams.sends.values()) this.#engine.cancel(socket, Operation.Send, tag);
    }
    if (socket.listener?.armed) this.#engine.cancel(socket, Operation.Accept, 0);
    else if (socket.listener) this.#acceptor.end(socket);
    else this.#engine.closeWhenDrained(socket);
  }

  /**
   * The kernel has not found what it was to cancel. Mostly its completion was on the way; but an operation that the kernel is
   * just about to try again is not found either, and would stay for ever.
   */
  missed(low: number, tag: number): void {
    const socket = this.#engine.find(low);
    const operation = socket && cancelable(socket, tag);
    if (operation !== null) this.#engine.cancel(socket!, operation, tag);
  }

  #cancelSend(socket: UringSocket): void {
    if (socket.file !== null) this.#files.cancel(socket);
    else this.#sender.cancel(socket);
  }
}

/** The operation with this tag, if it is still with the kernel, which a cancel always ends soon. */
function cancelable(socket: UringSocket, tag: number): Operation | null {
  const { listener, receiving, connecting, datagrams } = socket;
  if (listener !== null) {
    return listener.armed && (socket.closing || listener.ready.length >= READY_LIMIT) ? Operation.Accept : null;
  }
  if (receiving?.tag === tag && socket.receiveCanceled && !socket.starved) return Operation.Receive;
  if (connecting?.tag === tag) return Operation.Connect;
  return datagrams?.sends.has(tag | 0) ? Operation.Send : null;
}
