// Datagram sockets. Receiving is a multishot recvmsg: the kernel takes a buffer from the ring for each datagram, and writes
// into it a header, the sender's address, and the bytes. Sending is a sendmsg, with its arguments in the event (messages.ts).
//
//   receive buffer   0                              16        48
//                    | struct io_uring_recvmsg_out  | sockaddr | payload ...

import {
  type CompletionPacket,
  type DatagramOptions,
  type Endpoint,
  type GatherList,
  Operation,
  type Overlapped,
} from '../../contract/port.js';
import { AddressCache, DatagramState, sendAction } from '../../port/datagrams.js';
import type { Port } from '../../port/port.js';
import { Kind } from '../../port/socket.js';
import { createDatagramSocket } from '../datagram-sockets.js';
import { EAFNOSUPPORT, EMSGSIZE, linuxPacketError } from '../errors.js';
import * as abi from '../layout.js';
import { ARGUMENTS, argumentsOf, readTarget, writeMessage, writeTarget } from '../messages.js';
import { fill } from '../packets.js';
import { linuxZones } from '../zones.js';
import { BUFFER_GROUP } from './buffer-ring.js';
import { cancelOperation, setOwner } from './completions.js';
import type { Ring } from './ring.js';
import { UringSocket } from './socket.js';
import { prepRecvmsgMultishot, prepSendmsg } from './submissions.js';

/** Room for an address in a receive buffer: a sockaddr_in6, and padding that aligns the payload. */
const NAME_ROOM = 32;
const PAYLOAD = abi.RECVMSG_OUT.size + NAME_ROOM;

export class Datagrams {
  readonly #port: Port<UringSocket>;
  readonly #ring: Ring;
  readonly #addresses = new AddressCache(linuxZones);
  /** One error for all packets, as any peer may cause it at any time. */
  readonly #truncated = linuxPacketError('receive all of a datagram', 'recvmsg', EMSGSIZE);

  constructor(port: Port<UringSocket>, ring: Ring) {
    this.#port = port;
    this.#ring = ring;
  }

  open(local: Endpoint, options: DatagramOptions): UringSocket {
    const handle = createDatagramSocket(local, options, 0);
    const state = new DatagramState(local.family, options.remote !== undefined);
    return this.#port.add(new UringSocket(this.#port, Kind.Datagrams, handle, state));
  }

  /** Prepares the receive stream. Gives the place of the entry. */
  prepReceive(socket: UringSocket, event: Overlapped): number {
    const { words } = event.block;
    const header = (event.offset + ARGUMENTS) >> 2;
    words.fill(0, header, header + (abi.MSGHDR.size >> 2));
    words[header + (abi.MSGHDR.namelen >> 2)] = NAME_ROOM;
    return prepRecvmsgMultishot(this.#ring, socket.handle, argumentsOf(event), BUFFER_GROUP);
  }

  /** A datagram is in a buffer, of which the kernel has written `length` bytes: completes the packet. */
  take(packet: CompletionPacket, buffer: number, length: number): void {
    const { buffers } = this.#port;
    const { block } = buffers;
    const start = buffers.offsetOf(buffer);
    const flags = block.words[(start + abi.RECVMSG_OUT.flags) >> 2]!;
    packet.bytes = length - PAYLOAD;
    packet.data = buffers.takePart(buffer, PAYLOAD, packet.bytes);
    packet.from = this.#addresses.find(block, start + abi.RECVMSG_OUT.size);
    if ((flags & abi.MSG_TRUNC) !== 0) packet.error = this.#truncated;
  }

  send(socket: UringSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    const state = socket.datagrams!;
    writeMessage(event, pieces);
    if (to !== null && !writeTarget(event, to, state.family)) {
      this.#port.queue(Operation.Send, socket, event, linuxPacketError(sendAction(to), 'sendmsg', EAFNOSUPPORT));
      return;
    }
    state.sends.add(event.tag | 0, event);
    const entry = prepSendmsg(this.#ring, socket.handle, argumentsOf(event), abi.MSG_NOSIGNAL);
    setOwner(this.#ring, entry, socket, Operation.Send, event.tag);
  }

  /** A send's completion: fills the packet. False for a late one. */
  sent(socket: UringSocket, tag: number, result: number, packet: CompletionPacket): boolean {
    const event = socket.datagrams!.sends.remove(tag | 0);
    if (event === undefined) return false;
    const error = result < 0 ? linuxPacketError(actionOf(socket, event), 'sendmsg', -result) : null;
    fill(packet, Operation.Send, socket.key, event, socket, Math.max(result, 0), error);
    this.#port.finish(socket, event);
    return true;
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    if (socket.datagrams!.sends.has(event.tag | 0)) {
      cancelOperation(this.#ring, socket, Operation.Send, event.tag);
    }
  }

  /** Phase one of a close. */
  close(socket: UringSocket): void {
    for (const { tag } of socket.datagrams!.sends.values()) {
      cancelOperation(this.#ring, socket, Operation.Send, tag);
    }
  }
}

/** The action of a send, by the address in its event. */
function actionOf(socket: UringSocket, event: Overlapped): string {
  return sendAction(socket.datagrams!.connected ? null : readTarget(event));
}
