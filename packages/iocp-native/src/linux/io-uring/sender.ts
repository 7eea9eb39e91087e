// Sending and half-closing. One piece is a plain send; several are gathered by a msghdr in the event (see messages.ts).
//
// A send never waits in the kernel. What that does not take at once is sent again when there is room.

import assert from 'node:assert';
import type { IocpError } from '../../contract/errors.js';
import { blockOf, countOf, offsetOf, totalOf } from '../../contract/gather-list.js';
import { type CompletionPacket, type GatherList, Operation, type Overlapped } from '../../contract/port.js';
import { EAGAIN, linuxPacketError } from '../errors.js';
import { MSG_DONTWAIT, MSG_NOSIGNAL, OP, SHUT_WR } from '../layout.js';
import { argumentsOf, skip, writeMessage } from '../messages.js';
import { fill } from './completion.js';
import { canceled, type Engine } from './engine.js';
import type { Room } from './room.js';
import { resetIfCut, type UringSocket } from './socket.js';

const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

export class Sender {
  readonly #engine: Engine;
  readonly #room: Room;

  constructor(engine: Engine, room: Room) {
    this.#engine = engine;
    this.#room = room;
  }

  send(socket: UringSocket, event: Overlapped, pieces: GatherList): void {
    assert(socket.datagrams === null, 'send() on a datagram socket');
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, event);
    socket.sending = event;
    socket.sendCanceled = false;
    const one = countOf(pieces) === 1;
    socket.sendLeft = totalOf(pieces);
    socket.sent = 0;
    socket.sendAddress = one ? blockOf(pieces, 0).address + offsetOf(pieces, 0) : 0;
    if (!one) writeMessage(event, pieces);
    this.resume(socket);
  }

  /** Hands the kernel what it has not taken yet. */
  resume(socket: UringSocket): void {
    const { sendAddress, sendLeft } = socket;
    const event = socket.sending!;
    const { tag } = event;
    if (sendAddress !== 0) {
      this.#engine.submit(OP.SEND, socket, tag, Operation.Send, sendAddress, sendLeft, FLAGS, 0, 0);
    } else {
      this.#engine.submit(OP.SENDMSG, socket, tag, Operation.Send, argumentsOf(event), 1, FLAGS, 0, 0);
    }
  }

  /** A send's completion. True when it filled the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, packet: CompletionPacket): boolean {
    let error: IocpError | null = null;
    if (result !== socket.sendLeft) {
      error = this.#wait(socket, event, result);
      if (socket.waitsForRoom) return false;
    }
    socket.sending = null;
    resetIfCut(socket, error);
    fill(packet, Operation.Send, socket.key, event, socket, socket.sent + Math.max(result, 0), error);
    this.#engine.finish(socket, event);
    return true;
  }

  /** Ends a send that waits for room. One that is with the kernel completes at once, and does not wait after that. */
  cancel(socket: UringSocket): void {
    socket.sendCanceled = true;
    if (!socket.waitsForRoom) return;
    this.#room.forget(socket);
    const event = socket.sending!;
    const error = canceled('send', 'send');
    socket.sending = null;
    resetIfCut(socket, error);
    this.#engine.queueEnd(Operation.Send, socket, event, error).bytes = socket.sent;
  }

  shutdown(socket: UringSocket): void {
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, null);
    socket.shuttingDown = true;
    this.#engine.submit(OP.SHUTDOWN, socket, 0, Operation.Shutdown, 0, SHUT_WR, 0, 0, 0);
  }

  /** The kernel has not taken all: lets the rest wait for room, unless there is a reason not to, which is returned. */
  #wait(socket: UringSocket, event: Overlapped, result: number): IocpError | null {
    if (result < 0 && result !== -EAGAIN) return linuxPacketError('send', 'send', -result);
    if (socket.sendCanceled) return canceled('send', 'send');
    const errno = this.#room.wait(socket);
    if (errno !== 0) return linuxPacketError('send', 'epoll_ctl', errno);
    if (result > 0) {
      socket.sent += result;
      socket.sendLeft -= result;
      if (socket.sendAddress !== 0) socket.sendAddress += result;
      else skip(event, result);
    }
    return null;
  }
}
