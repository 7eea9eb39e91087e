// What all operations of an io_uring port share: the table of sockets, submission entries, the count of what is in
// flight, and the queue of packets that did not come from the kernel.
//
// user_data, which the kernel sends back with each completion, is two words:
//   low: the socket's place in the table (24 bits), and the operation (8 bits)   high: the event's tag; for a close, which
//   has no event, the descriptor

import assert from 'node:assert';
import type { IocpError } from '../../contract/errors.js';
import { type CompletionPacket, Operation, type Overlapped, type PortStats } from '../../contract/port.js';
import { closing } from '../../native/ledger.js';
import { checkEvent } from '../../port/checks.js';
import type { DatagramState } from '../../port/datagrams.js';
import { PacketQueue } from '../../port/packet-queue.js';
import { ECANCELED, linuxPacketError } from '../errors.js';
import { OP, SQE_FLAG } from '../layout.js';
import { CANCEL } from './completion.js';
import type { Notifier } from './notifier.js';
import type { Ring } from './ring.js';
import { type ListenerState, UringSocket } from './socket.js';

const OPERATION_SHIFT = 24;
const INDEX_MASK = 0xffffff;

export class Engine {
  readonly ring: Ring;
  readonly notifier: Notifier;
  readonly stats: PortStats = {
    inFlight: 0,
    sockets: 0,
    buffersOut: 0,
    packets: 0,
    wakeUps: 0,
    dropped: 0,
    starved: 0,
  };
  readonly queue = new PacketQueue();
  readonly #sockets: (UringSocket | null)[] = [];
  readonly #freeIndexes: number[] = [];

  constructor(ring: Ring, notifier: Notifier) {
    this.ring = ring;
    this.notifier = notifier;
  }

  /** The sockets that are open. */
  get sockets(): UringSocket[] {
    return this.#sockets.filter((socket) => socket !== null);
  }

  addSocket(handle: number, listener: ListenerState | null, datagrams: DatagramState | null = null): UringSocket {
    const index = this.#freeIndexes.pop() ?? this.#sockets.length;
    assert(index <= INDEX_MASK, 'more sockets than user_data can name');
    const socket = new UringSocket(handle, index, listener, datagrams);
    this.#sockets[index] = socket;
    this.stats.sockets++;
    return socket;
  }

  /** The socket that a completion is about, or null when it is gone. */
  find(low: number): UringSocket | null {
    return this.#sockets[low & INDEX_MASK] ?? null;
  }

  /** Counts an operation as started. */
  start(socket: UringSocket, event: Overlapped | null): void {
    assert(!socket.closing, 'an operation on a socket that is closing');
    this.begin(socket, event);
  }

  begin(socket: UringSocket, event: Overlapped | null): void {
    if (event !== null) {
      assert(!event.pending, 'the event is in use by another operation');
      checkEvent(event);
      event.pending = true;
    }
    socket.pending++;
    this.stats.inFlight++;
    // Outside of the pump nobody is about to call dequeue(), which hands this to the kernel.
    this.notifier.nudge();
  }

  /** The last packet of an operation is being dequeued. The last operation of a closing socket closes it. */
  finish(socket: UringSocket, event: Overlapped | null): void {
    if (event !== null) event.pending = false;
    socket.pending--;
    this.stats.inFlight--;
    if (socket.closing) this.closeWhenDrained(socket);
  }

  /** Phase two of closing, when phase one is over. */
  closeWhenDrained(socket: UringSocket): void {
    if (socket.pending > 0 || socket.listener?.armed) return;
    if (socket.handle < 0) {
      this.removeSocket(socket);
      const packet = this.queue.push();
      packet.operation = Operation.Close;
      packet.socket = socket;
      packet.key = socket.key;
      this.notifier.nudge();
      return;
    }
    socket.record = closing(socket.handle);
    this.submit(OP.CLOSE, socket, socket.handle, Operation.Close, 0, 0, 0, 0, 0);
    this.notifier.nudge();
  }

  removeSocket(socket: UringSocket): void {
    socket.handle = -1;
    this.#sockets[socket.index] = null;
    this.#freeIndexes.push(socket.index);
    this.stats.sockets--;
  }

  /** Queues the last packet of an operation that the kernel does not have (any more). */
  queueEnd(
    operation: Operation,
    socket: UringSocket,
    event: Overlapped | null,
    error: IocpError | null,
  ): CompletionPacket {
    const packet = this.queue.push(socket);
    packet.operation = operation;
    packet.key = socket.key;
    packet.event = event;
    packet.socket = socket;
    packet.error = error;
    this.notifier.nudge();
    return packet;
  }

  /** Writes a submission entry whose address is `address` and whose `off` field is `offset`. */
  submit(
    opcode: number,
    socket: UringSocket,
    tag: number,
    operation: number,
    address: number,
    length: number,
    opFlags: number,
    offset: number,
    ioprio: number,
    flags = 0,
  ): void {
    const low = socket.index | (operation << OPERATION_SHIFT);
    const high = Math.floor(address / 0x100000000);
    this.ring.sqe(opcode, flags, ioprio, socket.handle, offset, 0, address, high, length, opFlags, low, tag, 0);
  }

  /** Reads a piece of a file that `socket` sends. It completes as the send does. */
  read(socket: UringSocket, file: number, offset: number, address: number, length: number): void {
    const low = socket.index | (Operation.Send << OPERATION_SHIFT);
    const { tag } = socket.sending!;
    const [offsetHigh, high] = [Math.floor(offset / 0x100000000), Math.floor(address / 0x100000000)];
    this.ring.sqe(OP.READ, 0, 0, file, offset, offsetHigh, address, high, length, 0, low, tag, 0);
    this.notifier.nudge();
  }

  /**
   * Asks the kernel to end one operation. Whether it did, that operation's own completion tells; the cancel's only says that
   * it did not. By its user_data the kernel finds it at once, by its descriptor only among all that there are.
   */
  cancel(socket: UringSocket, operation: number, tag: number): void {
    const low = socket.index | (operation << OPERATION_SHIFT);
    const user = socket.index | (CANCEL << OPERATION_SHIFT);
    this.ring.sqe(OP.ASYNC_CANCEL, SQE_FLAG.CQE_SKIP_SUCCESS, 0, -1, 0, 0, low, tag, 0, 0, user, tag, 0);
    this.notifier.nudge();
  }
}

export function canceled(action: string, syscall: string): IocpError {
  return linuxPacketError(action, syscall, ECANCELED);
}
