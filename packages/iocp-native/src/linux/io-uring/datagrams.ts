// Datagram sockets. Receiving is a multishot recvmsg: the kernel takes a buffer from the ring for each datagram, and writes
// into it a header, the sender's address, and the bytes. Sending is a sendmsg, with its arguments in the event (messages.ts).
//
//   receive buffer   0                              16        48
//                    | struct io_uring_recvmsg_out  | sockaddr | payload ...

import assert from 'node:assert';
import {
  type CompletionPacket,
  type DatagramOptions,
  type Endpoint,
  type GatherList,
  Operation,
  type Overlapped,
} from '../../contract/port.js';
import { AddressCache, DatagramState, sendAction } from '../../port/datagrams.js';
import type { ReceiveBuffers } from '../../port/receive-buffers.js';
import { createDatagramSocket } from '../datagram-sockets.js';
import { EAFNOSUPPORT, EMSGSIZE, linuxPacketError } from '../errors.js';
import * as abi from '../layout.js';
import { ARGUMENTS, argumentsOf, readTarget, writeMessage, writeTarget } from '../messages.js';
import { linuxZones } from '../zones.js';
import { fill } from './completion.js';
import type { Engine } from './engine.js';
import type { UringSocket } from './socket.js';

/** Room for an address in a receive buffer: a sockaddr_in6, and what keeps the payload aligned. */
const NAME_ROOM = 32;
const PAYLOAD = abi.RECVMSG_OUT.size + NAME_ROOM;

export class Datagrams {
  readonly #engine: Engine;
  readonly #buffers: ReceiveBuffers;
  readonly #addresses = new AddressCache(linuxZones);
  /** One for all, as any peer may cause it at any time. */
  readonly #truncated = linuxPacketError('receive all of a datagram', 'recvmsg', EMSGSIZE);

  constructor(engine: Engine, buffers: ReceiveBuffers) {
    this.#engine = engine;
    this.#buffers = buffers;
  }

  open(local: Endpoint, options: DatagramOptions): UringSocket {
    const handle = createDatagramSocket(local, options, 0);
    return this.#engine.addSocket(handle, null, new DatagramState(local.family, options.remote !== undefined));
  }

  /** Hands the receive stream to the kernel. */
  arm(socket: UringSocket, event: Overlapped): void {
    const { words } = event.block;
    const header = (event.offset + ARGUMENTS) >> 2;
    words.fill(0, header, header + (abi.MSGHDR.size >> 2));
    words[header + (abi.MSGHDR.namelen >> 2)] = NAME_ROOM;
    this.#engine.submit(
      abi.OP.RECVMSG,
      socket,
      event.tag,
      Operation.Receive,
      argumentsOf(event),
      1,
      0,
      0,
      abi.RECV_MULTISHOT,
      abi.SQE_FLAG.BUFFER_SELECT,
    );
  }

  /** A datagram is in a buffer, of which the kernel has written `length` bytes: completes the packet. */
  take(packet: CompletionPacket, buffer: number, length: number): void {
    const { block } = this.#buffers;
    const start = this.#buffers.offsetOf(buffer);
    const flags = block.words[(start + abi.RECVMSG_OUT.flags) >> 2]!;
    packet.bytes = length - PAYLOAD;
    packet.data = this.#buffers.takePart(buffer, PAYLOAD, packet.bytes);
    packet.from = this.#addresses.find(block, start + abi.RECVMSG_OUT.size);
    if ((flags & abi.MSG_TRUNC) !== 0) packet.error = this.#truncated;
  }

  send(socket: UringSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    const state = socket.datagrams;
    assert(state !== null, 'sendTo() on what is no datagram socket');
    state.check(to);
    this.#engine.start(socket, event);
    writeMessage(event, pieces);
    if (to !== null && !writeTarget(event, to, state.family)) {
      this.#engine.queueEnd(Operation.Send, socket, event, linuxPacketError(sendAction(to), 'sendmsg', EAFNOSUPPORT));
      return;
    }
    state.sends.set(event.tag | 0, event);
    this.#engine.submit(
      abi.OP.SENDMSG,
      socket,
      event.tag,
      Operation.Send,
      argumentsOf(event),
      1,
      abi.MSG_NOSIGNAL,
      0,
      0,
    );
  }

  /** A send's completion: fills the packet. False for a late one. */
  sent(socket: UringSocket, tag: number, result: number, packet: CompletionPacket): boolean {
    const event = socket.datagrams!.remove(tag | 0);
    if (event === undefined) return false;
    const error = result < 0 ? linuxPacketError(actionOf(socket, event), 'sendmsg', -result) : null;
    fill(packet, Operation.Send, socket.key, event, socket, Math.max(result, 0), error);
    this.#engine.finish(socket, event);
    return true;
  }
}

/** The action of a send, by the address in its event. */
function actionOf(socket: UringSocket, event: Overlapped): string {
  return sendAction(socket.datagrams!.connected ? null : readTarget(event));
}
