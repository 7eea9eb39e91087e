// Sending and half-closing. One piece is a plain send; several are gathered by a msghdr in the event (see messages.ts).
//
// A send never waits in the kernel. Bytes that the kernel does not take at once are sent again when the socket is writable.

import type { IocpError } from '../../contract/errors.js';
import { blockOf, countOf, offsetOf, totalOf } from '../../contract/gather-list.js';
import { type CompletionPacket, type GatherList, Operation, type Overlapped } from '../../contract/port.js';
import type { Port } from '../../port/port.js';
import { bindCalls } from '../calls.js';
import { lengthOfAll, sendArray, sendArrays } from '../direct-sends.js';
import { canceled, EAGAIN, EINTR, linuxPacketError } from '../errors.js';
import { MSG_DONTWAIT, MSG_NOSIGNAL } from '../layout.js';
import { errno } from '../libc.js';
import { argumentsOf, skip, writeMessage } from '../messages.js';
import { fill } from '../packets.js';
import { setOwner } from './completions.js';
import type { Ring } from './ring.js';
import { resetIfCut, type UringSocket } from './socket.js';
import { prepSend, prepSendmsg } from './submissions.js';
import type { Writability } from './writability.js';

/** How bytes go to the kernel: a send completes at once, with the count of bytes taken, or with EAGAIN. */
export const SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

export class Sender {
  readonly #port: Port<UringSocket>;
  readonly #ring: Ring;
  readonly #writability: Writability;
  readonly #calls = bindCalls();

  constructor(port: Port<UringSocket>, ring: Ring, writability: Writability) {
    this.#port = port;
    this.#ring = ring;
    this.#writability = writability;
  }

  send(socket: UringSocket, event: Overlapped, pieces: GatherList): void {
    this.#prepare(socket, event, pieces);
    this.#submit(socket, event);
  }

  /**
   * As CompletionPort.sendDirect(). The call is made here, and not by the ring: it would read the arrays after this has
   * returned.
   */
  sendDirect(socket: UringSocket, event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number {
    this.#prepare(socket, event, pieces);
    const own = socket.sendLeft;
    const wanted = own + lengthOfAll(arrays);
    for (;;) {
      const length = sendArrays(this.#calls, socket.handle, event, pieces, arrays, SEND_FLAGS);
      const failed = length < 0 ? errno() : length < wanted ? EAGAIN : 0;
      if (failed === EINTR) continue;
      const taken = Math.max(length, 0);
      this.#advance(socket, event, Math.min(taken, own));
      socket.sendDone += Math.max(taken - own, 0);
      this.#settle(socket, event, failed);
      return Math.max(taken - own, 0);
    }
  }

  /** As CompletionPort.sendNow(). Made here, as sendDirect() is. */
  sendNow(socket: UringSocket, array: Uint8Array): number {
    return sendArray(this.#calls, socket.handle, array, SEND_FLAGS);
  }

  /** The socket is writable again. */
  resume(socket: UringSocket): void {
    const event = socket.sending!;
    // A direct send that waited for room has nothing left of its own.
    if (socket.sendLeft > 0) this.#submit(socket, event);
    else this.#settle(socket, event, 0);
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

  #prepare(socket: UringSocket, event: Overlapped, pieces: GatherList): void {
    const one = countOf(pieces) === 1;
    socket.sendCanceled = false;
    socket.sendLeft = totalOf(pieces);
    socket.sendDone = 0;
    socket.sendAddress = one ? blockOf(pieces, 0).address + offsetOf(pieces, 0) : 0;
    if (!one && socket.sendLeft > 0) writeMessage(event, pieces);
  }

  /** Hands the kernel the bytes that it has not taken yet. */
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
    this.#advance(socket, event, result);
    return null;
  }

  #advance(socket: UringSocket, event: Overlapped, taken: number): void {
    if (taken <= 0) return;
    socket.sendDone += taken;
    socket.sendLeft -= taken;
    if (socket.sendLeft === 0) return;
    if (socket.sendAddress !== 0) socket.sendAddress += taken;
    else skip(event, taken);
  }

  /** The result of a direct send's call: the send has ended, or waits for room. */
  #settle(socket: UringSocket, event: Overlapped, code: number): void {
    const failed = code === EAGAIN ? this.#writability.wait(socket) : code;
    if (socket.waitsToSend) return;
    const error = failed === 0 ? null : linuxPacketError('send', 'send', failed);
    this.#port.queue(Operation.Send, socket, event, error).bytes = socket.sendDone;
  }
}
