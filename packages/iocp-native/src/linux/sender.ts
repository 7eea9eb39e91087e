// Sending and half-closing. One piece is a plain send; several are gathered by a msghdr in the event's own memory:
//
//   event   0            64         120  128                                384
//           | OVERLAPPED | msghdr   |    | iovec 0 | iovec 1 | ... iovec 15 |

import assert from 'node:assert';
import { type CompletionPacket, type GatherList, Operation, type Overlapped } from '../contract.js';
import type { IocpError } from '../errors.js';
import { ARGUMENTS, fill } from './completion.js';
import type { Engine } from './engine.js';
import { ECONNRESET, linuxPacketError } from './errors.js';
import { IOVEC, MSG_NOSIGNAL, MSG_WAITALL, MSGHDR, OP, SHUT_WR } from './layout.js';
import { pendingError, type UringSocket } from './socket.js';

const IOVECS = 128;
/** With MSG_WAITALL the kernel goes on until all bytes are taken. */
const FLAGS = MSG_WAITALL | MSG_NOSIGNAL;

export class Sender {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  send(socket: UringSocket, event: Overlapped, pieces: GatherList): void {
    assert(socket.datagrams === null, 'send() on a datagram socket');
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, event);
    socket.sending = event;
    socket.sendBytes = pieces.bytes;
    if (pieces.count === 1) {
      const address = pieces.blocks[0]!.address + pieces.offsets[0]!;
      this.#engine.submit(OP.SEND, socket, event.tag, Operation.Send, address, pieces.lengths[0]!, FLAGS, 0, 0);
    } else {
      writeMessage(event, pieces);
      const address = event.block.address + event.offset + ARGUMENTS;
      this.#engine.submit(OP.SENDMSG, socket, event.tag, Operation.Send, address, 1, FLAGS, 0, 0);
    }
  }

  /** A send's completion: fills the packet. */
  complete(socket: UringSocket, event: Overlapped, result: number, packet: CompletionPacket): boolean {
    socket.sending = null;
    const error = result === socket.sendBytes ? null : sendError(socket, result);
    fill(packet, Operation.Send, socket.key, event, socket, Math.max(result, 0), error);
    this.#engine.finish(socket, event);
    return true;
  }

  shutdown(socket: UringSocket): void {
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, null);
    socket.shuttingDown = true;
    this.#engine.submit(OP.SHUTDOWN, socket, 0, Operation.Shutdown, 0, SHUT_WR, 0, 0, 0);
  }
}

/** A short count means that an error or a cancel came after the first bytes. */
function sendError(socket: UringSocket, result: number): IocpError {
  const errno = result < 0 ? -result : pendingError(socket.handle) || ECONNRESET;
  return linuxPacketError('send', 'send', errno);
}

/** Lays out a msghdr without an address, and its iovecs. */
export function writeMessage(event: Overlapped, pieces: GatherList): void {
  const { words, address } = event.block;
  const header = (event.offset + ARGUMENTS) >> 2;
  const iovecs = address + event.offset + IOVECS;
  words.fill(0, header, header + (MSGHDR.size >> 2));
  words[header + (MSGHDR.iov >> 2)] = iovecs;
  words[header + (MSGHDR.iov >> 2) + 1] = Math.floor(iovecs / 0x100000000);
  words[header + (MSGHDR.iovlen >> 2)] = pieces.count;
  for (let i = 0; i < pieces.count; i++) {
    const at = (event.offset + IOVECS + i * IOVEC.size) >> 2;
    const base = pieces.blocks[i]!.address + pieces.offsets[i]!;
    words[at] = base;
    words[at + 1] = Math.floor(base / 0x100000000);
    words[at + 2] = pieces.lengths[i]!;
    words[at + 3] = 0;
  }
}
