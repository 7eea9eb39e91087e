// Sending and half-closing. One piece is a plain send; several are gathered by a msghdr in the event (see messages.ts).
//
// A send never waits in the kernel. What the kernel does not take at once is sent again when the socket is writable.

import type { IocpError } from '../../contract/errors.js';
import { blockOf, countOf, offsetOf, totalOf } from '../../contract/gather-list.js';
import { type CompletionPacket, type GatherList, Operation, type Overlapped } from '../../contract/port.js';
import type { Port } from '../../port/port.js';
import { canceled, EAGAIN, linuxPacketError } from '../errors.js';
import { MSG_DONTWAIT, MSG_NOSIGNAL } from '../layout.js';
import { argumentsOf, skip, writeMessage } from '../messages.js';
import { fill } from '../packets.js';
import { setOwner } from './completions.js';
import type { Ring } from './ring.js';
import { resetIfCut, type UringSocket } from './socket.js';
import { prepSend, prepSendmsg } from './submissions.js';
import type { Writability } from './writability.js';

/** How bytes go to the kernel: a send completes at once, with what the kernel has taken, or with EAGAIN. */
export const SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

export class Sender {
  readonly #port: Port<UringSocket>;
  readonly #ring: Ring;
  readonly #writability: Writability;

  constructor(port: Port<UringSocket>, ring: Ring, writability: Writability) {
    this.#port = port;
    this.#ring = ring;
    this.#writability = writability;
  }

  send(socket: UringSocket, event: Overlapped, pieces: GatherList): void {
    const one = countOf(pieces) === 1;
    socket.sendCanceled = false;
    socket.sendLeft = totalOf(pieces);
    socket.sendDone = 0;
    socket.sendAddress = one ? blockOf(pieces, 0).address + offsetOf(pieces, 0) : 0;
    if (!one) writeMessage(event, pieces);
    this.#submit(socket, event);
  }

  /** The socket is writable again. */
  resume(socket: UringSocket): void {
    this.#submit(socket, socket.sending!);
  }

  /** A send's completion. True when it filled the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, packet: CompletionPacket): boolean {
    let error: IocpError | null = null;
    if (result !== socket.sendLeft) {
      error = this.#wait(socket, event, result);
      if (socket.waitsToSend) return false;
      resetIfCut(socket, error);
    }
    fill(packet, Operation.Send, socket.key, event, socket, socket.sendDone + Math.max(result, 0), error);
    this.#port.finish(socket, event);
    return true;
  }

  /** Ends a send that waits until the socket is writable. One that the kernel has completes at once, and does not wait then. */
  cancel(socket: UringSocket, event: Overlapped): void {
    socket.sendCanceled = true;
    if (!socket.waitsToSend) return;
    this.#writability.cancelWait(socket);
    const error = canceled('send', 'send');
    resetIfCut(socket, error);
    this.#port.queue(Operation.Send, socket, event, error).bytes = socket.sendDone;
  }

  /** Hands the kernel what it has not taken yet. */
  #submit(socket: UringSocket, event: Overlapped): void {
    const ring = this.#ring;
    const { sendAddress: address, sendLeft: left } = socket;
    const entry =
      address !== 0
        ? prepSend(ring, socket.handle, address, left, SEND_FLAGS)
        : prepSendmsg(ring, socket.handle, argumentsOf(event), SEND_FLAGS);
    setOwner(ring, entry, socket, Operation.Send, event.tag);
  }

  /** The kernel has not taken all: the rest waits until the socket is writable. Gives the error when it must not. */
  #wait(socket: UringSocket, event: Overlapped, result: number): IocpError | null {
    if (result < 0 && result !== -EAGAIN) return linuxPacketError('send', 'send', -result);
    if (socket.sendCanceled) return canceled('send', 'send');
    const errno = this.#writability.wait(socket);
    if (errno !== 0) return linuxPacketError('send', 'epoll_ctl', errno);
    if (result > 0) {
      socket.sendDone += result;
      socket.sendLeft -= result;
      if (socket.sendAddress !== 0) socket.sendAddress += result;
      else skip(event, result);
    }
    return null;
  }
}
