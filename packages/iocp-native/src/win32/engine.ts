// What all operations of an IOCP port share: the port's handle, the table of sockets, the count of what is in flight,
// and the queue that every packet passes through, so that the order in which things finished is kept.
//
// The completion key of a socket is two words:
//   low: its place in the table   high: the generation of that place
// Two keys whose low word is no place in any table are the port's own: see Key.

import assert from 'node:assert';
import type { IocpError } from '../contract/errors.js';
import type { CompletionPacket } from '../contract/port.js';
import { Operation, type Overlapped, type PortStats } from '../contract/port.js';
import { Owned, own } from '../native/ledger.js';
import type { NativeBlock } from '../native/memory.js';
import { checkEvent } from '../port/checks.js';
import type { DatagramState } from '../port/datagrams.js';
import { PacketQueue } from '../port/packet-queue.js';
import {
  ERROR_IO_PENDING,
  ERROR_OPERATION_ABORTED,
  FILE_SKIP_COMPLETION_PORT_ON_SUCCESS,
  FILE_SKIP_SET_EVENT_ON_HANDLE,
  INVALID_HANDLE_VALUE,
  ONE_READER,
  STATUS_PENDING,
} from './constants.js';
import { win32Error, win32PacketError } from './errors.js';
import { CancelIoEx, CreateIoCompletionPort, GetLastError, SetFileCompletionNotificationModes } from './kernel32.js';
import { OVERLAPPED, PAGE } from './layout.js';
import { closePipe, type PipeEnd } from './pipe.js';
import type { PipeListenerState } from './pipe-acceptor.js';
import { closeHandle, hasIfsHandles, type ListenerState, orClose, Win32Socket } from './socket.js';
import { isWine } from './system.js';

/** Completion keys of packets that no socket brought. */
export const Key = {
  /** Posted by another thread: its key lies in lpOverlapped. */
  Post: 0xffffffff,
  /** Never queued: marks an OVERLAPPED_ENTRY that has been taken, or that the kernel has not written. */
  None: 0xfffffffe,
} as const;

/** Milliseconds that the kernel has to end what was canceled, before the handle is closed over it. */
const PATIENCE = 1000;
const MAX_SOCKETS = 0x1000000;
/** Generations wrap here: key = generation * 2^32 + index is still an exact double. */
const GENERATIONS = 0x100000;
/**
 * Calls of CancelIoEx that a send may take under Wine, which overlooks one of which it is moving bytes just then. Windows
 * writes the status of an operation only when its packet is taken, so there another call would say the same.
 */
const CANCELS_OF_WINE = 1000;

export class Engine {
  /** The completion port's HANDLE. */
  readonly port: number;
  /** The port's own page: see PAGE. */
  readonly scratch: NativeBlock;
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
  /** Called after a packet was queued: somebody may be watching. */
  readonly nudge: () => void;
  readonly #sockets: (Win32Socket | null)[] = [];
  readonly #generations: number[] = [];
  readonly #freeIndexes: number[] = [];
  /** Those that are closing since a moment ago, and those that have been for longer than PATIENCE. */
  #closing = new Set<Win32Socket>();
  #closingLong = new Set<Win32Socket>();
  #patience: NodeJS.Timeout | null = null;
  readonly #mostCancels = isWine() ? CANCELS_OF_WINE : 1;

  constructor(scratch: NativeBlock, nudge: () => void) {
    this.scratch = scratch;
    this.nudge = nudge;
    this.port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, 0, 0, ONE_READER);
    if (this.port === 0) throw win32Error('open a port', 'CreateIoCompletionPort', GetLastError());
    own(Owned.Queue, this.port, scratch.address);
  }

  /** The sockets that are open. */
  get sockets(): Win32Socket[] {
    return this.#sockets.filter((socket) => socket !== null);
  }

  /** Takes a socket over and associates it with the port. Closes it and throws an IocpError when that fails. */
  addSocket(
    handle: number,
    listener: ListenerState | PipeListenerState | null,
    action: string,
    pipe: PipeEnd | null = null,
    datagrams: DatagramState | null = null,
  ): Win32Socket {
    const index = this.#freeIndexes.pop() ?? this.#sockets.length;
    assert(index < MAX_SOCKETS, 'more sockets than a port can hold');
    const generation = this.#generations[index] ?? 0;
    const key = generation * 2 ** 32 + index;
    let skips = false;
    try {
      if (pipe === null && handle >= 0) {
        skips = orClose(handle, () => this.#associate(handle, key, action, datagrams === null));
      }
    } catch (error) {
      this.#sockets[index] = null;
      this.#freeIndexes.push(index);
      throw error;
    }
    const socket = new Win32Socket(handle, index, generation, skips, listener, pipe, datagrams);
    this.#sockets[index] = socket;
    this.stats.sockets++;
    return socket;
  }

  /** Associates another handle with the port, under the key of a socket. False on failure, with GetLastError(). */
  associate(socket: Win32Socket, handle: number): boolean {
    return CreateIoCompletionPort(handle, this.port, socket.generation * 2 ** 32 + socket.index, 0) !== 0;
  }

  /** Associates an end of a pipe, whose socket is there already. Closes it and throws an IocpError when that fails. */
  attach(socket: Win32Socket, handle: number, action: string): void {
    if (!this.associate(socket, handle)) {
      const errno = GetLastError();
      closePipe(handle, socket.pipe!, true);
      throw win32Error(action, 'CreateIoCompletionPort', errno);
    }
    socket.handle = handle;
  }

  /** The socket that a packet is about, or null when it is gone. */
  find(index: number, generation: number): Win32Socket | null {
    const socket = this.#sockets[index];
    return socket && socket.generation === generation ? socket : null;
  }

  /** Counts an operation as started. */
  start(socket: Win32Socket, event: Overlapped | null): void {
    assert(!socket.closing, 'an operation on a socket that is closing');
    if (event !== null) {
      assert(!event.pending, 'the event is in use by another operation');
      checkEvent(event);
      event.pending = true;
    }
    socket.pending++;
    this.stats.inFlight++;
  }

  /** Makes an event's OVERLAPPED ready for a call that gives the kernel an operation; the event's address. */
  prepare(event: Overlapped): number {
    this.scratch.words[PAGE.pendingPackets]!++;
    const { words } = event.block;
    const at = event.offset >> 2;
    words.fill(0, at, at + 8);
    return event.block.address + event.offset;
  }

  /**
   * What became of a prepared operation. ERROR_IO_PENDING: its packet comes. 0: it is done, and no packet comes. Any other
   * number: it has failed, and no packet comes.
   *
   * @param errno the error number of the call that started it; 0 when that succeeded.
   * @param skips whether a success at once has no packet.
   */
  outcome(errno: number, skips: boolean): number {
    if (errno === ERROR_IO_PENDING || (errno === 0 && !skips)) return ERROR_IO_PENDING;
    this.packetTaken();
    return errno;
  }

  /** One packet less is to come from the kernel. */
  packetTaken(): void {
    this.scratch.words[PAGE.pendingPackets]!--;
  }

  /** The last packet of an operation is being dequeued. The last operation of a closing socket closes it. */
  finish(socket: Win32Socket, event: Overlapped | null): void {
    if (event !== null) {
      event.pending = false;
      if (event === socket.receiving) socket.receiving = null;
      else if (event === socket.sending) socket.sending = null;
      else if (event === socket.connecting) socket.connecting = null;
    }
    socket.pending--;
    this.stats.inFlight--;
    if (socket.closing) this.closeWhenDrained(socket);
  }

  /**
   * Phase one of closing: what is in flight was asked to end. A socket that is to be reset is closed at once, and others
   * when that takes long: it ends what a cancel could not. Their places stay taken until the last packet has come, so a
   * late one finds them.
   */
  awaitPackets(socket: Win32Socket): void {
    if (socket.reset && socket.pipe === null) {
      this.closeHandleOf(socket);
      return;
    }
    this.#closing.add(socket);
    this.#patience ??= setTimeout(this.#closeLate, PATIENCE).unref();
  }

  readonly #closeLate = (): void => {
    for (const socket of this.#closingLong) this.closeHandleOf(socket);
    this.#closingLong = this.#closing;
    this.#closing = new Set();
    this.#patience = this.#closingLong.size > 0 ? setTimeout(this.#closeLate, PATIENCE).unref() : null;
  };

  /** Closes the handle of a socket, if it is open. */
  closeHandleOf(socket: Win32Socket): void {
    const { handle, pipe, reset } = socket;
    socket.handle = -1;
    if (handle < 0) return;
    if (pipe !== null) closePipe(handle, pipe, reset);
    else closeHandle(handle, reset);
  }

  /** Phase two of closing, when phase one is over. */
  closeWhenDrained(socket: Win32Socket): void {
    if (socket.pending > 0) return;
    this.removeSocket(socket);
    const packet = this.queue.push();
    packet.operation = Operation.Close;
    packet.socket = socket;
    packet.key = socket.key;
    this.nudge();
  }

  /** Closes a socket that the kernel holds no operation of, and frees its place. */
  removeSocket(socket: Win32Socket): void {
    this.closeHandleOf(socket);
    this.#closing.delete(socket);
    this.#closingLong.delete(socket);
    this.#sockets[socket.index] = null;
    this.#generations[socket.index] = (socket.generation + 1) % GENERATIONS;
    this.#freeIndexes.push(socket.index);
    this.stats.sockets--;
  }

  /** Queues a packet of an operation of `socket`. */
  queuePacket(
    operation: Operation,
    socket: Win32Socket,
    event: Overlapped | null,
    error: IocpError | null,
  ): CompletionPacket {
    // A close that cuts a send short is a reset: no peer may take what is left for the whole.
    if (socket.closing && operation === Operation.Send && error !== null) socket.reset = true;
    const packet = this.queue.push(socket);
    packet.operation = operation;
    packet.key = socket.key;
    packet.event = event;
    packet.socket = socket;
    packet.error = error;
    this.nudge();
    return packet;
  }

  /**
   * Asks the kernel to end one operation, or with 0 all of a socket. What it did, their own packets tell; that there was
   * nothing to end, or that the provider does not know the call, changes nothing.
   */
  cancel(socket: Win32Socket, overlapped: number): void {
    const { sending, file } = socket;
    // Not while a file is read for it, which has another handle.
    const sends = sending !== null && (file === null || file.handle < 0 || file.filled > 0);
    const ofSend = sends && (overlapped === 0 || overlapped === sending.block.address + sending.offset);
    for (let calls = ofSend ? this.#mostCancels : 1; calls > 0; calls--) {
      if (socket.handle < 0 || CancelIoEx(socket.handle, overlapped) !== 0) return;
      if (!ofSend || sending.block.words[(sending.offset + OVERLAPPED.Internal) >> 2] !== STATUS_PENDING) return;
    }
  }

  /** True when the kernel will queue no packet for what succeeds at once. */
  #associate(handle: number, key: number, action: string, maySkip: boolean): boolean {
    if (CreateIoCompletionPort(handle, this.port, key, 0) === 0) {
      throw win32Error(action, 'CreateIoCompletionPort', GetLastError());
    }
    if (!maySkip || !hasIfsHandles(handle)) return false;
    const modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
    return SetFileCompletionNotificationModes(handle, modes) !== 0;
  }
}

export function canceled(action: string, syscall: string): IocpError {
  return win32PacketError(action, syscall, ERROR_OPERATION_ABORTED);
}
