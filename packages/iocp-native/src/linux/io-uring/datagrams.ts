// Datagram sockets. Receiving is a multishot recvmsg: the kernel takes a buffer from the ring for each datagram, and writes
// into it a header, the sender's address, and the bytes. Sending is a sendmsg, with all that it names in the event.
//
//   receive buffer   0                              16        48
//                    | struct io_uring_recvmsg_out  | sockaddr | payload ...
//   event            0             32       64       120  128                                384
//                    | OVERLAPPED  | sockaddr | msghdr |    | iovec 0 | ... iovec 15 |

import assert from 'node:assert';
import { endpointText } from '../../contract/endpoint.js';
import {
  type CompletionPacket,
  type DatagramOptions,
  type Endpoint,
  type GatherList,
  Operation,
  type Overlapped,
} from '../../contract/port.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../../native/sockaddr.js';
import { AddressCache, DatagramState, inFamily, sendAction, writeTarget } from '../../port/datagrams.js';
import type { ReceiveBuffers } from '../../port/receive-buffers.js';
import { EAFNOSUPPORT, EMSGSIZE, linuxError, linuxPacketError } from '../errors.js';
import * as abi from '../layout.js';
import { bindSocket, check, connectSocket } from '../libc.js';
import { linuxZones } from '../zones.js';
import { ARGUMENTS, fill } from './completion.js';
import type { Engine } from './engine.js';
import { writeMessage } from './sender.js';
import { createSocket, discardHandle, setOption, type UringSocket } from './socket.js';

/** Where in an event the address of a send lies. */
const TARGET = 32;
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
    const handle = createDatagramSocket(local, options);
    return this.#engine.addSocket(handle, null, new DatagramState(local.family, options.remote !== undefined));
  }

  /** Hands the receive stream to the kernel. */
  arm(socket: UringSocket, event: Overlapped): void {
    const { words, address } = event.block;
    const header = (event.offset + ARGUMENTS) >> 2;
    words.fill(0, header, header + (abi.MSGHDR.size >> 2));
    words[header + (abi.MSGHDR.namelen >> 2)] = NAME_ROOM;
    this.#engine.submit(
      abi.OP.RECVMSG,
      socket,
      event.tag,
      Operation.Receive,
      address + event.offset + ARGUMENTS,
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
    const length =
      to === null ? 0 : writeTarget(to, state.family, event.block, event.offset + TARGET, abi.AF_INET6, linuxZones);
    if (to !== null && length === 0) {
      this.#engine.queueEnd(Operation.Send, socket, event, linuxPacketError(sendAction(to), 'sendmsg', EAFNOSUPPORT));
      return;
    }
    state.sends.set(event.tag | 0, event);
    writeMessage(event, pieces);
    const { words, address } = event.block;
    const header = (event.offset + ARGUMENTS) >> 2;
    const name = length === 0 ? 0 : address + event.offset + TARGET;
    words[header] = name;
    words[header + 1] = Math.floor(name / 0x100000000);
    words[header + (abi.MSGHDR.namelen >> 2)] = length;
    const message = address + event.offset + ARGUMENTS;
    this.#engine.submit(abi.OP.SENDMSG, socket, event.tag, Operation.Send, message, 1, abi.MSG_NOSIGNAL, 0, 0);
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

/** What a send wanted, from the address that it left in its event. */
function actionOf(socket: UringSocket, event: Overlapped): string {
  return sendAction(
    socket.datagrams!.connected ? null : readSockaddr(event.block.bytes, event.offset + TARGET, linuxZones),
  );
}

function createDatagramSocket(local: Endpoint, { remote, ipv6Only, broadcast }: DatagramOptions): number {
  const action = `bind to ${endpointText(local)}`;
  const fd = createSocket(local, { noDelay: false }, action, abi.SOCK_DGRAM);
  try {
    if (local.family === 6) setOption(fd, abi.IPPROTO_IPV6, abi.IPV6_V6ONLY, ipv6Only ? 1 : 0, action);
    if (broadcast) setOption(fd, abi.SOL_SOCKET, abi.SO_BROADCAST, 1, action);
    const address = Buffer.alloc(SOCKADDR_SIZE);
    check(bindSocket(fd, address, writeSockaddr(local, address, 0, abi.AF_INET6, linuxZones)), action, 'bind');
    if (remote) connectTo(fd, remote, local.family);
    return fd;
  } catch (error) {
    discardHandle(fd);
    throw error;
  }
}

function connectTo(fd: number, remote: Endpoint, family: 4 | 6): void {
  const action = `connect to ${endpointText(remote)}`;
  const target = inFamily(remote, family);
  if (target === null) throw linuxError(action, 'connect', EAFNOSUPPORT);
  const address = Buffer.alloc(SOCKADDR_SIZE);
  check(connectSocket(fd, address, writeSockaddr(target, address, 0, abi.AF_INET6, linuxZones)), action, 'connect');
}
