// Sending and half-closing. A start makes the system call, or behind a large batch the next dequeue() does, for many sends at once. The packet
// comes out of that dequeue(). Bytes that the kernel does not take wait until the socket is writable.

import { endsEarly, type IocpError } from '../../contract/errors.js';
import { blockOf, countOf, offsetOf, totalOf } from '../../contract/gather-list.js';
import { type CompletionPacket, type GatherList, Operation, type Overlapped } from '../../contract/port.js';
import type { NativeBlock } from '../../native/memory.js';
import type { Port } from '../../port/port.js';
import { bindCalls } from '../calls.js';
import { lengthOfAll, sendArray, sendArrays } from '../direct-sends.js';
import { EAGAIN, ECANCELED, EINTR, EINVAL, ESPIPE, linuxPacketError } from '../errors.js';
import { F_SETFL, MSG_DONTWAIT, MSG_NOSIGNAL, O_NONBLOCK, SHUT_WR } from '../layout.js';
import { errno, fcntl, shutdown } from '../libc.js';
import { argumentsOf, skip, writeMessage } from '../messages.js';
import { fill } from '../packets.js';
import { setReset } from '../sockets.js';
import { LEAST_SENDS, SendBatch } from './send-batch.js';
import { type EpollSocket, Sending } from './socket.js';
import type { Watching } from './watching.js';

const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;
/** Bytes that sendfile() is asked for at a time, and how often, before others get their turn. */
const FILE_PIECE = 1 << 20;
const PIECES_PER_TURN = 4;
/** Not an errno: the file has fewer bytes than were to be sent. */
const ENDS_EARLY = -1;

export class Sender {
  readonly #port: Port<EpollSocket>;
  readonly #watching: Watching;
  readonly #wake: () => void;
  readonly #calls = bindCalls();
  /** Where sendfile() reads the offset: an off_t. */
  readonly #offset: NativeBlock;
  /** Sends whose packets are due, oldest first. One may have been canceled since. The array never shrinks: that is slow. */
  readonly #ended: (EpollSocket | null)[] = [];
  #endedCount = 0;
  /** How many of these are packets by now. */
  #taken = 0;
  /** Sends that begin with the next flush(), oldest first. The array never shrinks. */
  readonly #deferred: EpollSocket[] = [];
  #deferredCount = 0;
  readonly #batch: SendBatch;
  /** Sends wait for flush(), which comes soon: there may be many. */
  defers = false;

  /** @param wake has the watcher of the port called. */
  constructor(port: Port<EpollSocket>, watching: Watching, offset: NativeBlock, batch: NativeBlock, wake: () => void) {
    this.#port = port;
    this.#watching = watching;
    this.#offset = offset;
    this.#batch = new SendBatch(batch);
    this.#wake = wake;
  }

  /** Whether packets of sends are due. */
  get some(): boolean {
    return this.#endedCount > 0;
  }

  send(socket: EpollSocket, event: Overlapped, pieces: GatherList): void {
    this.#prepare(socket, event, pieces);
    if (!this.defers || socket.sendAddress === 0 || socket.sendLeft === 0 || unblock(socket) !== 0) {
      this.#send(socket);
      return;
    }
    socket.sendState = Sending.Deferred;
    this.#deferred[this.#deferredCount++] = socket;
  }

  /** Begins the sends that wait for it: many of them by one system call. Throws an IocpError. */
  flush(): void {
    const end = this.#deferredCount;
    if (end === 0) return;
    this.#deferredCount = 0;
    const deferred = this.#deferred;
    let at = 0;
    while (end - at >= LEAST_SENDS) {
      const tried = this.#batch.submit(deferred, at, end);
      if (tried === 0) break;
      for (let i = 0; i < tried; i++) this.#sent(deferred[at++]!, this.#batch.results[i]!);
    }
    while (at < end) this.#send(deferred[at++]!);
  }

  /** As CompletionPort.sendDirect(). */
  sendDirect(socket: EpollSocket, event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number {
    this.#prepare(socket, event, pieces);
    const own = socket.sendLeft;
    const wanted = own + lengthOfAll(arrays);
    for (;;) {
      const length = sendArrays(this.#calls, socket.handle, event, pieces, arrays, FLAGS);
      const code = length < 0 ? errno() : length < wanted ? EAGAIN : 0;
      if (code === EINTR) continue;
      const taken = Math.max(length, 0);
      this.#advance(socket, Math.min(taken, own));
      socket.sent += Math.max(taken - own, 0);
      this.#settle(socket, code);
      return Math.max(taken - own, 0);
    }
  }

  /** As CompletionPort.sendNow(). */
  sendNow(socket: EpollSocket, array: Uint8Array): number {
    return sendArray(this.#calls, socket.handle, array, FLAGS);
  }

  sendFile(socket: EpollSocket, file: number, offset: number, length: number): void {
    socket.file = file;
    socket.fileOffset = offset;
    socket.sendLeft = length;
    socket.sent = 0;
    const failed = unblock(socket);
    if (failed !== 0) {
      this.#end(socket, failed);
      return;
    }
    this.resume(socket);
  }

  /** Hands the kernel the bytes that it has not taken yet. */
  resume(socket: EpollSocket): void {
    if (socket.file >= 0) this.#sendFile(socket);
    else this.#send(socket);
  }

  /** Ends a send that waits for room. One that has not begun begins: what was sent before a close arrives. */
  cancel(socket: EpollSocket): void {
    if (socket.sendState === Sending.Deferred) this.flush();
    if (socket.sendState === Sending.None || socket.sendState === Sending.Ended) return;
    if (socket.closing) setReset(socket.handle);
    this.#end(socket, ECANCELED);
  }

  shutdown(socket: EpollSocket): void {
    const failed = shutdown(socket.handle, SHUT_WR) < 0 ? errno() : 0;
    const error = failed === 0 ? null : linuxPacketError('shut down', 'shutdown', failed);
    this.#port.queue(Operation.Shutdown, socket, null, error);
  }

  /** Fills packets of sends that have ended, from place `n` on and up to `end`. Gives the place after the last. */
  take(batch: readonly CompletionPacket[], n: number, end: number): number {
    const ended = this.#ended;
    const count = this.#endedCount;
    let at = this.#taken;
    let next = n;
    while (next < end && at < count) {
      const socket = ended[at]!;
      ended[at++] = null;
      const event = socket.sending!;
      socket.sendState = Sending.None;
      const error = socket.sendErrno === 0 ? null : errorOf(socket);
      fill(batch[next++]!, Operation.Send, socket.key, event, socket, socket.sent, error);
      this.#port.finish(socket, event);
    }
    if (at === count) {
      this.#endedCount = 0;
      at = 0;
    }
    this.#taken = at;
    return next;
  }

  close(): void {
    this.#batch.close();
  }

  #prepare(socket: EpollSocket, event: Overlapped, pieces: GatherList): void {
    socket.file = -1;
    socket.sendLeft = totalOf(pieces);
    socket.sent = 0;
    if (countOf(pieces) === 1) {
      socket.sendAddress = blockOf(pieces, 0).address + offsetOf(pieces, 0);
    } else {
      socket.sendAddress = 0;
      if (socket.sendLeft > 0) writeMessage(event, pieces);
    }
  }

  #send(socket: EpollSocket): void {
    // A direct send that waited for room has nothing left of its own.
    this.#settle(socket, socket.sendLeft > 0 ? this.#push(socket) : 0);
  }

  /** Hands the kernel the pieces. Gives 0 when it has taken all, EAGAIN when it has not, or another errno. */
  #push(socket: EpollSocket): number {
    const { sendAddress, sendLeft, handle } = socket;
    const event = socket.sending!;
    for (;;) {
      const length =
        sendAddress !== 0
          ? this.#calls.send(handle, sendAddress, sendLeft, FLAGS)
          : this.#calls.sendmsg(handle, argumentsOf(event), FLAGS);
      const code = length < 0 ? errno() : length < sendLeft ? EAGAIN : 0;
      if (code === EINTR) continue;
      if (length > 0) this.#advance(socket, length);
      return code;
    }
  }

  /** The result of a send by flush(): the bytes that the kernel took, or an errno, negated. */
  #sent(socket: EpollSocket, result: number): void {
    // gVisor has AIO for files only.
    const refused = result === -ESPIPE || result === -EINVAL;
    if (refused) this.#batch.giveUp();
    if (refused || result === -EINTR) {
      this.#send(socket);
      return;
    }
    if (result > 0) this.#advance(socket, result);
    this.#settle(socket, result < 0 ? -result : socket.sendLeft > 0 ? EAGAIN : 0);
  }

  /** The kernel has taken so many bytes of the pieces. */
  #advance(socket: EpollSocket, taken: number): void {
    socket.sent += taken;
    socket.sendLeft -= taken;
    if (socket.sendLeft === 0) return;
    if (socket.sendAddress !== 0) socket.sendAddress += taken;
    else skip(socket.sending!, taken);
  }

  /** The result of a call: the send has ended, or waits for room. */
  #settle(socket: EpollSocket, code: number): void {
    if (code === EAGAIN) this.#block(socket);
    else this.#end(socket, code);
  }

  #sendFile(socket: EpollSocket): void {
    const { words, address } = this.#offset;
    for (let i = 0; i < PIECES_PER_TURN; i++) {
      words[0] = socket.fileOffset;
      words[1] = Math.floor(socket.fileOffset / 0x100000000);
      const most = Math.min(socket.sendLeft, FILE_PIECE);
      const length = this.#calls.sendfile(socket.handle, socket.file, address, most);
      const code = length < 0 ? errno() : 0;
      if (code === EAGAIN) {
        this.#block(socket);
        return;
      }
      if (length <= 0 && code !== EINTR) {
        this.#end(socket, code === 0 ? ENDS_EARLY : code);
        return;
      }
      if (length > 0) {
        socket.sent += length;
        socket.fileOffset += length;
        socket.sendLeft -= length;
        if (socket.sendLeft === 0) {
          this.#end(socket, 0);
          return;
        }
      }
    }
    socket.sendState = Sending.Yielded;
    this.#watching.list(socket);
  }

  /** The send goes on when the socket is writable. */
  #block(socket: EpollSocket): void {
    const failed = this.#watching.writes(socket);
    if (failed === 0) socket.sendState = Sending.Blocked;
    else this.#end(socket, failed);
  }

  #end(socket: EpollSocket, code: number): void {
    socket.sendState = Sending.Ended;
    socket.sendErrno = code;
    this.#ended[this.#endedCount++] = socket;
    this.#wake();
  }
}

/** Has calls on the socket never wait. Gives an errno, or 0. */
function unblock(socket: EpollSocket): number {
  if (!socket.nonBlocking && fcntl(socket.handle, F_SETFL, O_NONBLOCK) < 0) return errno();
  socket.nonBlocking = true;
  return 0;
}

function errorOf({ sendErrno, file }: EpollSocket): IocpError {
  if (sendErrno === ENDS_EARLY) return endsEarly();
  return file < 0
    ? linuxPacketError('send', 'send', sendErrno)
    : linuxPacketError('send a file', 'sendfile', sendErrno);
}
