// Datagram sockets. Receiving is a recvmmsg(): one call brings up to MOST datagrams, each into a receive buffer of its own. Sending
// is a sendmsg() at the start.
//
//   receive buffer   0                  16         48
//                    | not used         | sockaddr | payload ...

import type { Endpoint } from '../../contract/port.js';
import { type CompletionPacket, type GatherList, Operation, type Overlapped } from '../../contract/port.js';
import type { NativeBlock } from '../../native/memory.js';
import { AddressCache, sendAction } from '../../port/datagrams.js';
import type { Port } from '../../port/port.js';
import { bindCalls } from '../calls.js';
import { EAFNOSUPPORT, EAGAIN, ECANCELED, EINTR, EMSGSIZE, linuxPacketError } from '../errors.js';
import { IOVEC, MMSGHDR, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_TRUNC, MSGHDR } from '../layout.js';
import { errno } from '../libc.js';
import { argumentsOf, readTarget, writeAddress64, writeMessage, writeTarget } from '../messages.js';
import { fill } from '../packets.js';
import { linuxZones } from '../zones.js';
import type { FreeBuffers } from './free-buffers.js';
import type { EpollSocket } from './socket.js';
import type { Watching } from './watching.js';

/** Datagrams that one call brings, and calls for one socket before others get their turn. */
const MOST = 8;
const CALLS_PER_TURN = 4;
/** Bytes of memory for the arguments of a recvmmsg(): so many struct mmsghdr, then as many struct iovec. */
export const MESSAGES_SIZE = MOST * (MMSGHDR.size + IOVEC.size);
const IOVECS = MOST * MMSGHDR.size;
/** Where in a receive buffer the address of the sender lies, and the payload. */
const NAME = 16;
const PAYLOAD = 48;

export class Datagrams {
  readonly #port: Port<EpollSocket>;
  readonly #watching: Watching;
  readonly #free: FreeBuffers;
  readonly #messages: NativeBlock;
  readonly #calls = bindCalls();
  readonly #addresses = new AddressCache(linuxZones);
  /** The buffers of the call under way. */
  readonly #taken = new Int32Array(MOST);
  /** One for all, as any peer may cause it at any time. */
  readonly #truncated = linuxPacketError('receive all of a datagram', 'recvmmsg', EMSGSIZE);

  /** @param messages hidden memory of at least MESSAGES_SIZE bytes, zeroed. */
  constructor(port: Port<EpollSocket>, watching: Watching, free: FreeBuffers, messages: NativeBlock) {
    this.#port = port;
    this.#watching = watching;
    this.#free = free;
    this.#messages = messages;
    const { words, address } = messages;
    for (let i = 0; i < MOST; i++) {
      const header = (i * MMSGHDR.size) >> 2;
      writeAddress64(words, header + (MSGHDR.iov >> 2), address + IOVECS + i * IOVEC.size);
      words[header + (MSGHDR.iovlen >> 2)] = 1;
      words[(IOVECS + i * IOVEC.size + IOVEC.len) >> 2] = port.buffers.size - PAYLOAD;
    }
  }

  /** Receives datagrams up to a bound, into packets from place `n` on. Gives the place after the last. */
  read(socket: EpollSocket, batch: readonly CompletionPacket[], n: number): number {
    const event = socket.receiving!;
    let next = n;
    for (let i = 0; i < CALLS_PER_TURN && next < batch.length; i++) {
      const most = this.#prepare(Math.min(MOST, batch.length - next));
      if (most === 0) {
        this.#free.starve(socket);
        return next;
      }
      const count = this.#calls.recvmmsg(socket.handle, this.#messages.address, most, MSG_DONTWAIT, 0);
      const code = count < 0 ? errno() : 0;
      for (let unused = most - 1; unused >= Math.max(count, 0); unused--) this.#free.putBack(this.#taken[unused]!);
      for (let message = 0; message < count; message++) {
        const packet = batch[next++]!;
        fill(packet, Operation.Receive, socket.key, event, socket, 0, null);
        this.#complete(packet, message);
      }
      if (code === EAGAIN || (count >= 0 && count < most && !socket.pressing)) {
        socket.readable = false;
        socket.pressing = false;
        return next;
      }
      if (count < 0 && code !== EINTR) {
        socket.streaming = false;
        fill(
          batch[next]!,
          Operation.Receive,
          socket.key,
          event,
          socket,
          0,
          linuxPacketError('receive', 'recvmmsg', code),
        );
        this.#port.finish(socket, event);
        return next + 1;
      }
    }
    this.#watching.list(socket);
    return next;
  }

  send(socket: EpollSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    socket.datagrams!.sends.add(event.tag | 0, event);
    writeMessage(event, pieces);
    if (to !== null && !writeTarget(event, to, socket.datagrams!.family)) {
      const error = linuxPacketError(sendAction(to), 'sendmsg', EAFNOSUPPORT);
      this.#port.queue(Operation.Send, socket, event, error);
    } else if (socket.blocked!.length > 0 || !this.#try(socket, event)) {
      this.#block(socket, event);
    }
  }

  /** The socket is writable: sends the datagrams that wait. */
  resume(socket: EpollSocket): void {
    const blocked = socket.blocked!;
    while (blocked.length > 0 && this.#try(socket, blocked[0]!)) blocked.shift();
  }

  /** Ends a send that waits. */
  cancel(socket: EpollSocket, event: Overlapped): void {
    const blocked = socket.blocked!;
    const at = blocked.indexOf(event);
    if (at < 0) return;
    blocked.splice(at, 1);
    this.#queueEnd(socket, event, 0, ECANCELED);
  }

  /** Ends all that wait. */
  close(socket: EpollSocket): void {
    for (const event of socket.blocked!.splice(0)) this.#queueEnd(socket, event, 0, ECANCELED);
  }

  /** Gives each message a free buffer. How many have one. */
  #prepare(most: number): number {
    const { words } = this.#messages;
    const { buffers } = this.#port;
    for (let i = 0; i < most; i++) {
      const buffer = this.#free.take();
      if (buffer < 0) return i;
      this.#taken[i] = buffer;
      const start = buffers.block.address + buffers.offsetOf(buffer);
      const header = (i * MMSGHDR.size) >> 2;
      writeAddress64(words, header, start + NAME);
      words[header + (MSGHDR.namelen >> 2)] = PAYLOAD - NAME;
      writeAddress64(words, (IOVECS + i * IOVEC.size) >> 2, start + PAYLOAD);
    }
    return most;
  }

  #complete(packet: CompletionPacket, message: number): void {
    const { buffers } = this.#port;
    const { words } = this.#messages;
    const header = (message * MMSGHDR.size) >> 2;
    const buffer = this.#taken[message]!;
    packet.bytes = words[header + (MMSGHDR.length >> 2)]!;
    packet.data = buffers.takePart(buffer, PAYLOAD, packet.bytes);
    packet.buffer = buffer;
    packet.from = this.#addresses.find(buffers.block, buffers.offsetOf(buffer) + NAME);
    if ((words[header + (MSGHDR.flags >> 2)]! & MSG_TRUNC) !== 0) packet.error = this.#truncated;
  }

  /** Sends one. False when the kernel has no room. */
  #try(socket: EpollSocket, event: Overlapped): boolean {
    for (;;) {
      const length = this.#calls.sendmsg(socket.handle, argumentsOf(event), MSG_DONTWAIT | MSG_NOSIGNAL);
      const code = length < 0 ? errno() : 0;
      if (code === EAGAIN) return false;
      if (code === EINTR) continue;
      this.#queueEnd(socket, event, Math.max(length, 0), code);
      return true;
    }
  }

  #block(socket: EpollSocket, event: Overlapped): void {
    const failed = this.#watching.writes(socket);
    if (failed === 0) socket.blocked!.push(event);
    else this.#queueEnd(socket, event, 0, failed);
  }

  #queueEnd(socket: EpollSocket, event: Overlapped, bytes: number, code: number): void {
    const error = code === 0 ? null : linuxPacketError(actionOf(socket, event), 'sendmsg', code);
    this.#port.queue(Operation.Send, socket, event, error).bytes = bytes;
  }
}

/** The text of a send's target, from the address in its event. */
function actionOf(socket: EpollSocket, event: Overlapped): string {
  return sendAction(socket.datagrams!.connected ? null : readTarget(event));
}
