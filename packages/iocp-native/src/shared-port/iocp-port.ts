// The shared port of sockets on Windows: a completion port of the kernel. Each thread waits in GetQueuedCompletionStatus and takes one
// packet: a batch would hold the others back behind a handler that blocks. The kernel itself lets at most `concurrency` threads run,
// wakes the thread that waited last, and lets another thread run while one is blocked.
//
// The operations of all sessions lie in one block of native memory, which all threads see:
//
//   records     for each session: the OVERLAPPED and the WSABUF of a receive of no bytes and of a send, and their states
//   accepts     for each service: several of AcceptEx, each with its OVERLAPPED, its addresses, its socket, and its state
//   threads     for each thread: the words that GetQueuedCompletionStatus writes, and the thread
//   families    for each service: the address family of its listening socket
//
// The address of an OVERLAPPED tells the session and the operation. A record serves no other session as long as one of its operations
// is the kernel's. A thread that starts an operation, or takes its packet, is named in the operation's state, so that the state can be
// put right when that thread has ended. A thread's end cancels none of its operations: they belong to their handles, which have a port.

import { threadId } from 'node:worker_threads';
import { IocpError, isIocpError } from '../contract/errors.js';
import type { SocketOptions } from '../contract/port.js';
import { disown, Owned } from '../native/ledger.js';
import { BlockStore, blockAt, type NativeBlock } from '../native/memory.js';
import { shareBlock } from '../native/shared-blocks.js';
import * as c from '../win32/constants.js';
import { win32Error } from '../win32/errors.js';
import {
  CloseHandle,
  CreateIoCompletionPort,
  GetLastError,
  GetQueuedCompletionStatus,
  PostQueuedCompletionStatus,
  WaitForSingleObject,
} from '../win32/kernel32.js';
import { ACCEPT_ADDRESS_SIZE, OVERLAPPED } from '../win32/layout.js';
import { LoopWaiter } from '../win32/loop-waiter.js';
import { win32Memory } from '../win32/memory.js';
import { RtlNtStatusToDosError } from '../win32/ntdll.js';
import { writeBuffer } from '../win32/sender.js';
import { createSocket, endpointOf, finishAccept, setNonBlocking } from '../win32/winsock.js';
import { AcceptEx, closesocket, getsockname, WSAGetLastError, WSARecv, WSASend } from '../win32/ws2_32.js';
import { LISTENER, Ready, type SocketPort, WOULD_BLOCK } from './socket-contract.js';

/** The handle for other threads to open the port. It can be sent to a worker as it is. */
export interface IocpPortToken {
  readonly kind: 'iocp';
  readonly handle: number;
  /** The block of operations. */
  readonly address: number;
  readonly records: number;
  readonly services: number;
  /** One word: 1 once the port is closed. */
  readonly closed: SharedArrayBuffer;
}

/** A record, an accept and a thread, in words of 32 bits. */
const WIDTH = 32;
const OVERLAPPED_WORDS = OVERLAPPED.size >> 2;
const Session = {
  /** Two OVERLAPPEDs. */
  Receive: 0,
  Send: 8,
  ReceiveBuffer: 16,
  SendBuffer: 20,
  ReceiveState: 24,
  SendState: 25,
  Generation: 26,
} as const;
/** From the OVERLAPPED of a record to its state. */
const stateOf = (at: number): number =>
  at % WIDTH === Session.Send ? at - Session.Send + Session.SendState : at + Session.ReceiveState;
const Accept = { Overlapped: 0, Addresses: 8, State: 30, Socket: 31 } as const;
const Thread = {
  Bytes: 0,
  Key: 2,
  Overlapped: 4,
  /** threadId + 1, or 0. */
  Owner: 6,
  /** WSARecv, WSASend and AcceptEx write a count here, which the packet has, too; and the flags of WSARecv. */
  Count: 8,
  Flags: 9,
} as const;

/** AcceptEx calls of a listening socket that are with the kernel at a time. */
const ACCEPTS = 16;
const MAX_THREADS = 256;
/**
 * Milliseconds that one call waits at most: if the thread that opened the port is terminated, its end waits for it. A thread that waits
 * anew is the first to wake, also if it has waited longest, so it does that seldom.
 */
const SLICE = 5000;
/** Milliseconds that destroy() waits for the last packets. */
const PATIENCE = 1000;

/** The state of an operation. Others are those of a thread, by its place. */
const Idle = 0;
const WithKernel = 1;
/** A thread has taken its packet. */
const taken = (thread: number): number => 2 + 2 * thread;
/** A thread is about to start it. */
const starting = (thread: number): number => 3 + 2 * thread;
/** The connection of an AcceptEx waits until the listening socket is armed. */
const HELD = 0xfffffffe;
/** OVERLAPPED.Internal of an operation that has not been started. The kernel writes another status. */
const NOT_STARTED = 0xffffffff;

/** The blocks of operations. No view of them leaves this file. */
const blocks = new BlockStore(win32Memory);

interface Places {
  readonly accepts: number;
  readonly threads: number;
  readonly families: number;
  /** Bytes of it all. */
  readonly size: number;
}

/** Where the parts lie, in words. */
function placesOf(records: number, services: number): Places {
  const accepts = records * WIDTH;
  const threads = accepts + services * ACCEPTS * WIDTH;
  const families = threads + MAX_THREADS * WIDTH;
  return { accepts, threads, families, size: (families + services) * 4 };
}

/** Opens a completion port, and takes the memory of its operations. Throws an IocpError. */
export function createIocpPort(concurrency: number, records: number, services: number): IocpPortToken {
  const block = blocks.take(placesOf(records, services).size, true);
  // It may not be unmapped while an operation is the kernel's, also if this thread is terminated.
  disown(Owned.Block, block.address);
  const handle = CreateIoCompletionPort(c.INVALID_HANDLE_VALUE, 0, 0, concurrency);
  if (handle === 0) {
    const error = win32Error('open a shared port', 'CreateIoCompletionPort', GetLastError());
    blocks.give(block);
    throw error;
  }
  shareBlock(block);
  owned.set(handle, block);
  return { kind: 'iocp', handle, address: block.address, records, services, closed: new SharedArrayBuffer(4) };
}

/** The blocks of the ports that this thread has made. */
const owned = new Map<number, NativeBlock>();

/** Takes the last packets, and closes the port. All sockets are closed, and no other thread uses it any more. */
export function destroyIocpPort(token: IocpPortToken): void {
  const drained = new IocpPort(token).drain();
  CloseHandle(token.handle);
  const block = owned.get(token.handle);
  owned.delete(token.handle);
  // An operation that the kernel has kept may still write to it: then it is never used again.
  if (drained && block !== undefined) blocks.give(block);
}

export class IocpPort implements SocketPort {
  low = 0;
  high = 0;
  ready = 0;
  sent = 0;
  readonly #handle: number;
  readonly #address: number;
  readonly #words: Uint32Array;
  readonly #closed: Int32Array;
  readonly #records: number;
  readonly #places: Places;
  /** This thread's place among the threads, and where its words lie; -1 until its first call. */
  #thread = -1;
  #own = -1;
  /** Where the OVERLAPPED and the state of the packet's operation lie; -1 for none. */
  #operation = -1;
  #state = -1;
  #alive: NodeJS.Timeout | undefined;
  readonly #get = GetQueuedCompletionStatus.bound();
  readonly #recv = WSARecv.bound();
  readonly #send = WSASend.bound();

  constructor({ handle, address, records, services, closed }: IocpPortToken) {
    this.#handle = handle;
    this.#address = address;
    this.#places = placesOf(records, services);
    this.#records = records;
    this.#words = blockAt(address, Math.ceil(this.#places.size / 4096) * 4096).words;
    this.#closed = new Int32Array(closed);
  }

  get closed(): boolean {
    return Atomics.load(this.#closed, 0) !== 0;
  }

  wait(timeout: number): boolean {
    // Before it looks whether the port is closed: close() posts a packet for each thread that has a place.
    if (this.#own < 0) this.#join();
    const until = timeout < 0 ? Number.POSITIVE_INFINITY : timeout === 0 ? 0 : performance.now() + timeout;
    for (let left = timeout < 0 ? SLICE : timeout; !this.closed; ) {
      if (this.#take(Math.min(Math.ceil(left), SLICE))) return true;
      if (timeout === 0) return false;
      left = Math.min(until - performance.now(), SLICE);
      if (left <= 0) return false;
    }
    return false;
  }

  done(): void {
    if (this.#state >= 0) Atomics.store(this.#words, this.#state, Idle);
    this.#state = -1;
  }

  /** A turn of the loop asks libuv's port, and so takes the thread out of the count of this one: another thread starts in its place. */
  loopDue(): boolean {
    // A loop that nothing keeps alive may not sleep, libuv says.
    this.#alive ??= setInterval(() => {}, 2 ** 31 - 1);
    return LoopWaiter.ofThread().due;
  }

  waitForLoop(): void {
    const waiter = LoopWaiter.ofThread();
    // wait() has just got nothing. If there are packets now, other threads have all slots: they are not asked for again at once.
    if (WaitForSingleObject(this.#handle, 0) === c.WAIT_OBJECT_0) waiter.wait(1);
    else waiter.wait(SLICE, this.#handle);
  }

  post(low: number, high: number): boolean {
    return !this.closed && PostQueuedCompletionStatus(this.#handle, high, low, 0) !== 0;
  }

  /** The kernel is out of memory: the session's next packet serves as well. */
  wake(): void {}

  listen(fd: number, service: number): number {
    if (CreateIoCompletionPort(fd, this.#handle, 0, 0) === 0) return GetLastError();
    this.#words[this.#places.families + service] = endpointOf(fd, 'getsockname', getsockname).family;
    return this.armListener(fd, service);
  }

  armListener(fd: number, service: number): number {
    let pending = 0;
    let failed = 0;
    for (let i = 0; i < ACCEPTS && failed === 0; i++) {
      const at = this.#acceptAt(service, i);
      if (this.#words[at + Accept.State] === HELD) this.#repost(at, at + Accept.State, 0);
      else if (this.#words[at + Accept.State] === Idle) failed = this.#startAccept(fd, service, at);
      if (failed === 0) pending++;
    }
    // No packet of this listening socket would come: one that has no operation has it armed again.
    if (failed !== 0 && pending === 0) this.#post(service, LISTENER, 0);
    return failed;
  }

  accept(listener: number, into: Int32Array, options: SocketOptions): number {
    const words = this.#words;
    const at = this.#operation;
    if (at < this.#places.accepts) return -WOULD_BLOCK;
    const handle = words[at + Accept.Socket]! | 0;
    const status = words[at + (OVERLAPPED.Internal >> 2)]!;
    into[0] = handle;
    words[at + Accept.Socket] = 0;
    this.done();
    let failed = status === 0 || listener < 0 ? 0 : failureOf(status);
    // The peer has reset the connection before it was accepted.
    if (failed === c.ERROR_NETNAME_DELETED || failed === c.ERROR_OPERATION_ABORTED) failed = WOULD_BLOCK;
    else if (listener < 0) failed = WOULD_BLOCK;
    else if (failed === 0) failed = finish(handle, listener, options);
    if (failed === 0) return handle;
    closesocket(handle);
    into[0] = -1;
    return -failed;
  }

  hold(): void {
    if (this.#state >= 0) Atomics.store(this.#words, this.#state, HELD);
    this.#state = -1;
  }

  unlisten(service: number): void {
    for (let i = 0; i < ACCEPTS; i++) {
      const at = this.#acceptAt(service, i);
      if (this.#words[at + Accept.State] !== HELD) continue;
      this.#discardAccept(at);
      Atomics.store(this.#words, at + Accept.State, Idle);
    }
  }

  /** AcceptEx has taken the oldest already, and the kernel does not tell of others: these are reset. */
  hasBacklog(): boolean {
    return false;
  }

  add(fd: number, slot: number, generation: number): number {
    this.#words[slot * WIDTH + Session.Generation] = generation;
    return CreateIoCompletionPort(fd, this.#handle, slot, 0) === 0 ? GetLastError() : 0;
  }

  arm(fd: number, ready: number, slot: number, _generation: number, address: number, length: number): number {
    const words = this.#words;
    const at = slot * WIDTH;
    if ((ready & Ready.Read) !== 0 && Atomics.load(words, at + Session.ReceiveState) === Idle) {
      const failed = this.#startReceive(fd, at);
      if (failed !== 0) return failed;
    }
    if ((ready & Ready.Write) !== 0 && Atomics.load(words, at + Session.SendState) === Idle) {
      return this.#startSend(fd, at, address, length);
    }
    return 0;
  }

  idle(slot: number): boolean {
    const at = slot * WIDTH;
    const words = this.#words;
    return (
      Atomics.load(words, at + Session.ReceiveState) === Idle && Atomics.load(words, at + Session.SendState) === Idle
    );
  }

  /** A thread that waits in the event loop waits on the loop's own port, and is no longer one of this port's. */
  leave(): void {}

  close(): void {
    if (Atomics.exchange(this.#closed, 0, 1) !== 0) return;
    const { threads } = this.#places;
    for (let thread = 0; thread < MAX_THREADS; thread++) {
      if (Atomics.load(this.#words, threads + thread * WIDTH + Thread.Owner) === 0) continue;
      // A thread that gets none for lack of memory sees the end after its SLICE.
      PostQueuedCompletionStatus(this.#handle, 0, 0, 0);
    }
  }

  release(): void {
    if (this.#own >= 0) Atomics.store(this.#words, this.#own + Thread.Owner, 0);
    this.#own = -1;
  }

  recover(ended: number, accepted: number): void {
    const words = this.#words;
    for (let thread = 0; thread < MAX_THREADS; thread++) {
      const own = this.#places.threads + thread * WIDTH;
      if (Atomics.load(words, own + Thread.Owner) !== ended + 1) continue;
      this.#recoverPacket(own, thread);
      for (let slot = 0; slot < this.#records; slot++) {
        const at = slot * WIDTH;
        this.#recoverOperation(at + Session.Receive, at + Session.ReceiveState, slot, thread);
        this.#recoverOperation(at + Session.Send, at + Session.SendState, slot, thread);
      }
      for (let at = this.#places.accepts; at < this.#places.threads; at += WIDTH) {
        this.#recoverAccept(at, thread, accepted);
      }
      Atomics.store(words, own + Thread.Owner, 0);
    }
  }

  /** Takes packets until the kernel has no operation any more. False when that took too long. */
  drain(): boolean {
    this.#join();
    const until = performance.now() + PATIENCE;
    while (this.#busy() && performance.now() < until) {
      if (!this.#take(100) || this.#operation < 0) continue;
      if (this.#operation >= this.#places.accepts) this.#discardAccept(this.#operation);
      this.done();
    }
    this.release();
    return !this.#busy();
  }

  #busy(): boolean {
    const words = this.#words;
    for (let slot = 0; slot < this.#records; slot++) if (!this.idle(slot)) return true;
    for (let at = this.#places.accepts; at < this.#places.threads; at += WIDTH) {
      if (Atomics.load(words, at + Accept.State) !== Idle) return true;
    }
    return false;
  }

  #discardAccept(at: number): void {
    const handle = this.#words[at + Accept.Socket]! | 0;
    this.#words[at + Accept.Socket] = 0;
    if (handle > 0) closesocket(handle);
  }

  #acceptAt(service: number, i: number): number {
    return this.#places.accepts + (service * ACCEPTS + i) * WIDTH;
  }

  /** Gives this thread its place. Throws an IocpError. */
  #join(): void {
    for (let thread = 0; thread < MAX_THREADS; thread++) {
      const own = this.#places.threads + thread * WIDTH;
      if (Atomics.compareExchange(this.#words, own + Thread.Owner, 0, threadId + 1) !== 0) continue;
      this.#thread = thread;
      this.#own = own;
      return;
    }
    throw new IocpError('wait on a shared port', 'too many threads do', 'EAGAIN', 'wait');
  }

  /** Takes one packet. The kernel writes it into the thread's words, so a packet that the thread does not come to is not lost. */
  #take(milliseconds: number): boolean {
    const words = this.#words;
    const own = this.#own;
    const at = this.#address + own * 4;
    words[own + Thread.Overlapped] = 0;
    words[own + Thread.Overlapped + 1] = 0;
    const took = this.#get(
      this.#handle,
      at + Thread.Bytes * 4,
      at + Thread.Key * 4,
      at + Thread.Overlapped * 4,
      milliseconds,
    );
    const errno = took !== 0 ? 0 : GetLastError();
    const operation = this.#operationOf(own);
    this.#operation = operation;
    if (operation >= 0) {
      this.#begin(operation);
      return true;
    }
    if (took !== 0) {
      this.low = words[own + Thread.Key]!;
      this.high = words[own + Thread.Bytes]!;
      this.ready = 0;
      this.#state = -1;
      // Also a packet that close() has posted.
      return !this.closed;
    }
    if (errno !== c.WAIT_TIMEOUT) throw win32Error('wait on a shared port', 'GetQueuedCompletionStatus', errno);
    return false;
  }

  /** Where in the words the OVERLAPPED lies that the kernel has given a thread; -1 for none. */
  #operationOf(own: number): number {
    const words = this.#words;
    const address = words[own + Thread.Overlapped + 1]! * 0x100000000 + words[own + Thread.Overlapped]!;
    return address === 0 ? -1 : (address - this.#address) / 4;
  }

  /** The packet of an operation. */
  #begin(at: number): void {
    const words = this.#words;
    const own = this.#own;
    const { accepts } = this.#places;
    this.#state = at < accepts ? stateOf(at) : at + Accept.State;
    Atomics.store(words, this.#state, taken(this.#thread));
    // From here on the state of the operation names the thread that has the packet.
    words[own + Thread.Overlapped] = 0;
    words[own + Thread.Overlapped + 1] = 0;
    if (at >= accepts) {
      this.low = LISTENER;
      this.high = Math.floor((at - accepts) / (ACCEPTS * WIDTH));
      this.ready = 0;
      return;
    }
    this.low = Math.floor(at / WIDTH);
    this.high = words[this.low * WIDTH + Session.Generation]!;
    if (at % WIDTH === Session.Receive) {
      // Also a receive that has failed: receive() says why. One that was canceled has nothing to say.
      this.ready = Ready.Read;
      return;
    }
    const status = words[at + (OVERLAPPED.Internal >> 2)]!;
    this.ready = Ready.Write;
    this.sent = status === 0 ? words[at + (OVERLAPPED.InternalHigh >> 2)]! : -failureOf(status);
  }

  #startReceive(fd: number, record: number): number {
    const words = this.#words;
    const at = record + Session.Receive;
    const state = record + Session.ReceiveState;
    const scratch = this.#prepare(at, state);
    writeBuffer(words, record + Session.ReceiveBuffer, 0, 0);
    words[this.#own + Thread.Flags] = 0;
    const list = this.#address + (record + Session.ReceiveBuffer) * 4;
    const overlapped = this.#address + at * 4;
    const flags = scratch + (Thread.Flags - Thread.Count) * 4;
    return this.#started(state, this.#recv(fd, list, 1, scratch, flags, overlapped, 0) === 0 ? 0 : WSAGetLastError());
  }

  #startSend(fd: number, record: number, address: number, length: number): number {
    const at = record + Session.Send;
    const state = record + Session.SendState;
    const scratch = this.#prepare(at, state);
    writeBuffer(this.#words, record + Session.SendBuffer, address, length);
    const list = this.#address + (record + Session.SendBuffer) * 4;
    const overlapped = this.#address + at * 4;
    return this.#started(state, this.#send(fd, list, 1, scratch, 0, overlapped, 0) === 0 ? 0 : WSAGetLastError());
  }

  #startAccept(listener: number, service: number, at: number): number {
    const words = this.#words;
    let handle: number;
    // That of a thread that ended before the call.
    this.#discardAccept(at);
    try {
      handle = createSocket(words[this.#places.families + service] === 6 ? 6 : 4, 'accept a connection');
    } catch (error) {
      return numberOf(error);
    }
    // It is the port's, also if this thread is terminated.
    disown(Owned.Handle, handle);
    words[at + Accept.Socket] = handle;
    const state = at + Accept.State;
    const scratch = this.#prepare(at, state);
    const output = this.#address + (at + Accept.Addresses) * 4;
    const size = ACCEPT_ADDRESS_SIZE;
    const done = AcceptEx(listener, handle, output, 0, size, size, scratch, this.#address + at * 4) !== 0;
    const failed = this.#started(state, done ? 0 : WSAGetLastError());
    if (failed !== 0) this.#discardAccept(at);
    return failed;
  }

  /** Before an operation is started. Gives the address of the count that the call writes. */
  #prepare(at: number, state: number): number {
    if (this.#own < 0) this.#join();
    const words = this.#words;
    words.fill(0, at, at + OVERLAPPED_WORDS);
    words[at + (OVERLAPPED.Internal >> 2)] = NOT_STARTED;
    Atomics.store(words, state, starting(this.#thread));
    return this.#address + (this.#own + Thread.Count) * 4;
  }

  /** After the call: an operation has a packet also when it is done at once. */
  #started(state: number, errno: number): number {
    const started = errno === 0 || errno === c.ERROR_IO_PENDING;
    // Another thread may have its packet already.
    Atomics.compareExchange(this.#words, state, starting(this.#thread), started ? WithKernel : Idle);
    return started ? 0 : errno;
  }

  /** The kernel has given a thread that ended a packet which it has not come to. */
  #recoverPacket(own: number, thread: number): void {
    const at = this.#operationOf(own);
    if (at < 0) return;
    const state = at < this.#places.accepts ? stateOf(at) : at + Accept.State;
    if (Atomics.load(this.#words, state) !== taken(thread)) this.#repost(at, state, this.#words[own + Thread.Key]!);
  }

  #recoverOperation(at: number, state: number, slot: number, thread: number): void {
    const was = Atomics.load(this.#words, state);
    if (was === taken(thread)) this.#repost(at, state, slot);
    else if (was === starting(thread)) this.#recoverStart(at, state, thread);
  }

  #recoverAccept(at: number, thread: number, accepted: number): void {
    const words = this.#words;
    const state = at + Accept.State;
    const was = Atomics.load(words, state);
    if (was === taken(thread)) {
      const handle = words[at + Accept.Socket]!;
      if (handle !== 0 && handle !== accepted) {
        this.#repost(at, state, 0);
        return;
      }
      words[at + Accept.Socket] = 0;
      Atomics.store(words, state, Idle);
    } else if (was === starting(thread)) {
      if (!this.#recoverStart(at, state, thread)) this.#discardAccept(at);
    }
  }

  /** False when the thread ended before it made the call. */
  #recoverStart(at: number, state: number, thread: number): boolean {
    const began = this.#words[at + (OVERLAPPED.Internal >> 2)] !== NOT_STARTED;
    // Another thread may have taken its packet.
    Atomics.compareExchange(this.#words, state, starting(thread), began ? WithKernel : Idle);
    return began;
  }

  /** Queues the packet of an operation once more: its result is in the OVERLAPPED. */
  #repost(at: number, state: number, key: number): void {
    Atomics.store(this.#words, state, WithKernel);
    this.#post(0, key, this.#address + at * 4);
  }

  /** Queues a packet that must not be lost. Throws an IocpError: the system is out of memory. */
  #post(bytes: number, key: number, overlapped: number): void {
    if (PostQueuedCompletionStatus(this.#handle, bytes, key, overlapped) !== 0) return;
    throw win32Error('serve a shared port', 'PostQueuedCompletionStatus', GetLastError());
  }
}

/** The number of a failure, from an NTSTATUS. */
function failureOf(status: number): number {
  return RtlNtStatusToDosError(status);
}

/** Makes an accepted socket ready for calls that do not wait. Gives an error number. */
function finish(handle: number, listener: number, options: SocketOptions): number {
  try {
    finishAccept(handle, listener, options);
    setNonBlocking(handle, 'accept a connection');
    return 0;
  } catch (error) {
    return numberOf(error);
  }
}

/** The number of an IocpError. Throws any other error. */
function numberOf(error: unknown): number {
  if (!isIocpError(error)) throw error;
  return error.errno || c.ERROR_NOT_SUPPORTED;
}
