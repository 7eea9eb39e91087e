// The one implementation of CompletionPort. Each kernel's own way is in its driver: see contract/driver.ts.

import assert from 'node:assert';
import type { Driver } from '../contract/driver.js';
import { IocpError, isIocpError } from '../contract/errors.js';
import { countOf, MAX_GATHER } from '../contract/gather-list.js';
import {
  type BackendName,
  CompletionPacket,
  type CompletionPort,
  type DatagramOptions,
  type Endpoint,
  type GatherList,
  type ListenOptions,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type PortOptions,
  type PortSocket,
  type PortStats,
  type PortToken,
  type SocketOptions,
} from '../contract/port.js';
import type { BlockStore, NativeBlock } from '../native/memory.js';
import { lengthOf, plainView } from '../typed-arrays.js';
import { checkEvent, checkFileRange, checkHandle } from './checks.js';
import { PacketQueue } from './packet-queue.js';
import { ReceiveBuffers } from './receive-buffers.js';
import { Kind, type Origin, Socket } from './socket.js';
import { SocketTable } from './socket-table.js';

/** The parts that a port is made of. */
export interface PortParts<S extends Socket> {
  readonly backend: BackendName;
  readonly native: boolean;
  /** Where memory comes from. */
  readonly blocks: BlockStore;
  /** Is called last: the port is there but for its driver. When it throws, the port's memory is given back. */
  readonly driver: (port: Port<S>) => Driver<S>;
}

export class Port<S extends Socket> implements CompletionPort {
  readonly backend: BackendName;
  readonly native: boolean;
  readonly concurrency: number;
  readonly stats: PortStats = {
    inFlight: 0,
    sockets: 0,
    buffersOut: 0,
    packets: 0,
    wakeUps: 0,
    dropped: 0,
    starved: 0,
  };
  readonly receiveBlock: NativeBlock;
  /** The rest is for drivers. */
  readonly buffers: ReceiveBuffers;
  readonly sockets = new SocketTable<S>();
  /** Packets that did not come from the kernel's queue. */
  readonly packets = new PacketQueue<Origin>();
  readonly #store: BlockStore;
  readonly #blocks: NativeBlock[] = [];
  readonly #driver: Driver<S>;
  #open = true;

  constructor({ backend, native, blocks, driver }: PortParts<S>, options: Required<PortOptions>) {
    this.backend = backend;
    this.native = native;
    this.#store = blocks;
    this.concurrency = options.concurrency;
    const { count, size } = options.receiveBuffers;
    try {
      this.receiveBlock = this.allocate(ReceiveBuffers.bytesFor(count, size));
      this.buffers = new ReceiveBuffers(this.receiveBlock, count, size, this.stats);
      this.#driver = driver(this);
    } catch (error) {
      for (const block of this.#blocks) blocks.give(block);
      throw error;
    }
  }

  // The contract.

  allocate(bytes: number, hidden = false): NativeBlock {
    this.#assertOpen();
    const block = this.#store.take(bytes, hidden);
    this.#blocks.push(block);
    return block;
  }

  async listen(local: Endpoint | PipeEndpoint, options: ListenOptions = {}): Promise<PortSocket> {
    this.#assertOpen();
    return this.#driver.listen(local, options);
  }

  async bind(local: Endpoint, options: DatagramOptions = {}): Promise<PortSocket> {
    this.#assertOpen();
    return this.#driver.bind(local, options);
  }

  adopt(handle: number): PortSocket {
    if (!this.#open) this.#driver.discard(handle);
    this.#assertOpen();
    checkHandle(handle);
    return this.#driver.adopt(handle);
  }

  accept(listener: PortSocket, event: Overlapped): void {
    const socket = this.#own(listener);
    assert(socket.kind === Kind.Listener, 'accept() on a socket that does not listen');
    this.#start(socket, event);
    this.#driver.accept(socket, event);
  }

  connect(event: Overlapped, remote: Endpoint | PipeEndpoint, key: unknown, options: SocketOptions = {}): PortSocket {
    this.#assertOpen();
    // Before a socket is made, and the event is written: it may be that of another operation.
    checkFree(event);
    const socket = this.#driver.connection();
    socket.key = key;
    this.#start(socket, event);
    socket.connecting = event;
    try {
      this.#driver.connect(socket, event, remote, options);
    } catch (error) {
      if (!isIocpError(error)) throw error;
      this.queue(Operation.Connect, socket, event, error);
    }
    return socket;
  }

  receive(of: PortSocket, event: Overlapped): void {
    const socket = this.#own(of);
    assert(socket.kind !== Kind.Listener, 'receive() on a listener');
    assert(socket.receiving === null, 'a receive stream is running on this socket');
    this.#start(socket, event);
    socket.receiving = event;
    this.#driver.receive(socket, event);
  }

  send(of: PortSocket, event: Overlapped, pieces: GatherList): void {
    const socket = this.#startSend(of, event);
    this.#driver.send(socket, event, pieces);
  }

  get sendsDirectly(): boolean {
    return this.#driver.sendDirect !== undefined;
  }

  sendDirect(of: PortSocket, event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number {
    const plain: Uint8Array[] = [];
    for (const bytes of arrays) {
      const length = lengthOf(bytes);
      assert(length > 0, 'sendDirect() of nothing');
      // The last check: the constructor throws if the memory is detached, or shorter than the array says.
      plain.push(plainView(bytes, length));
    }
    assert(plain.length > 0 && countOf(pieces) + plain.length <= MAX_GATHER, 'sendDirect() of nothing, or of too much');
    assert(this.#driver.sendDirect !== undefined, 'sendDirect() where it cannot be used');
    const socket = this.#startSend(of, event);
    return this.#driver.sendDirect(socket, event, pieces, plain);
  }

  sendNow(of: PortSocket, array: Uint8Array): number {
    const socket = this.#own(of);
    assertSends(socket);
    if (socket.closing) assert.fail('an operation on a socket that is closing');
    const length = lengthOf(array);
    if (length === 0) assert.fail('sendNow() of nothing');
    if (this.#driver.sendNow === undefined) assert.fail('sendNow() where it cannot be used');
    return this.#driver.sendNow(socket, plainView(array, length));
  }

  sendFile(of: PortSocket, event: Overlapped, file: number, offset: number, length: number): void {
    checkFileRange(offset, length);
    const socket = this.#startSend(of, event);
    this.#driver.sendFile(socket, event, file, offset, length);
  }

  sendTo(of: PortSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    const socket = this.#own(of);
    if (socket.datagrams === null) assert.fail('sendTo() on a socket that sends no datagrams');
    socket.datagrams.check(to);
    this.#start(socket, event);
    this.#driver.sendTo(socket, event, pieces, to);
  }

  shutdown(of: PortSocket): void {
    const socket = this.#own(of);
    assertSends(socket);
    this.#start(socket, null);
    socket.shutDown = true;
    this.#driver.shutdown(socket);
  }

  cancel(of: PortSocket, event: Overlapped): void {
    const socket = this.#own(of);
    if (event.pending && !socket.closing) this.#driver.cancel(socket, event);
  }

  close(of: PortSocket, reset = false): void {
    const socket = this.#own(of);
    if (socket.closing) return;
    socket.closing = true;
    this.#driver.close(socket, reset);
    this.proceed(socket);
  }

  release(buffer: number): void {
    this.#assertOpen();
    if (this.buffers.release(buffer)) this.#driver.provide(buffer);
  }

  retain(buffer: number): void {
    this.#assertOpen();
    this.buffers.retain(buffer);
  }

  bufferOf(bytes: Uint8Array): number {
    return this.buffers.indexOf(bytes);
  }

  placeOf(bytes: Uint8Array, buffer?: number): number {
    return this.buffers.placeOf(bytes, buffer);
  }

  post(key: unknown, bytes: number): void {
    this.#assertOpen();
    this.queuePost(key, bytes, null);
  }

  share(): PortToken {
    this.#assertOpen();
    return this.#driver.share();
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    this.#assertOpen();
    const count = this.#driver.dequeue(batch, timeout);
    if (count > 0) {
      this.stats.wakeUps++;
      this.stats.packets += count;
    }
    return count;
  }

  watch(ready: () => void): void {
    this.#assertOpen();
    this.#driver.watch(ready);
  }

  unwatch(): void {
    this.#assertOpen();
    this.#driver.unwatch();
  }

  waitForLoop(): void {
    this.#assertOpen();
    this.#driver.waitForLoop();
  }

  get loopDue(): boolean {
    return this.#driver.loopDue;
  }

  destroy(): void {
    if (!this.#open) return;
    this.#driver.stop();
    const drained = this.#driver.drain();
    this.discardQueue();
    this.#open = false;
    this.#driver.destroy();
    for (const block of this.#blocks) {
      if (drained) this.#store.give(block);
      else this.#driver.abandon(block);
    }
    this.#blocks.length = 0;
    this.stats.buffersOut = 0;
  }

  // For drivers.

  /** A socket is there: gives it a slot. */
  add(socket: S): S {
    this.sockets.add(socket);
    this.stats.sockets++;
    return socket;
  }

  /** Counts an operation that the driver itself has started; `event` is null where no caller asked for it. */
  begin(socket: Socket, event: Overlapped | null): void {
    if (event !== null) event.pending = true;
    socket.pending++;
    this.stats.inFlight++;
  }

  /** The last packet of an operation is being dequeued. The last operation of a closing socket lets its close go on. */
  finish(socket: Socket, event: Overlapped | null): void {
    if (event !== null) {
      event.pending = false;
      if (event === socket.receiving) socket.receiving = null;
      else if (event === socket.sending) socket.sending = null;
      else if (event === socket.connecting) socket.connecting = null;
    }
    socket.pending--;
    this.stats.inFlight--;
    if (socket.closing) this.proceed(socket as S);
  }

  /** Queues the last packet of an operation, which the kernel does not have (any more). Its fields may be completed at once. */
  queue(operation: Operation, socket: Socket, event: Overlapped | null, error: IocpError | null): CompletionPacket {
    return this.queuePacket(operation, socket, event, error, socket);
  }

  /** Queues a packet; `origin` is told when it is dequeued. */
  queuePacket(
    operation: Operation,
    socket: Socket,
    event: Overlapped | null,
    error: IocpError | null,
    origin: Origin | null,
  ): CompletionPacket {
    const packet = this.packets.push(origin);
    packet.operation = operation;
    packet.key = socket.key;
    packet.event = event;
    packet.socket = socket;
    packet.error = error;
    this.#driver.wake();
    return packet;
  }

  /** Queues a Post packet. */
  queuePost(key: unknown, bytes: number, origin: Origin | null): void {
    const packet = this.packets.push(origin);
    packet.operation = Operation.Post;
    packet.key = key;
    packet.bytes = bytes;
    this.#driver.wake();
  }

  /** Moves packets of the queue to `batch`, from place `from` on and up to `to`. Gives the place after the last. */
  take(batch: readonly CompletionPacket[], from: number, to: number): number {
    const { packets } = this;
    let n = from;
    while (n < to && packets.length > 0) {
      const packet = batch[n++]!;
      packets.shift(packet)?.dequeued(packet);
    }
    return n;
  }

  /** Phase two of a close, as soon as no operation is pending. */
  proceed(socket: S): void {
    if (socket.closing && socket.pending === 0) this.#driver.closeHandle(socket);
  }

  /** The handle of a socket is closed: frees its slot and queues the Close packet. */
  closed(socket: S): void {
    this.remove(socket);
    this.queuePacket(Operation.Close, socket, null, null, null);
  }

  /** Frees the slot of a socket that gets no Close packet from the queue. */
  remove(socket: S): void {
    socket.handle = -1;
    this.sockets.remove(socket);
    this.stats.sockets--;
  }

  /** Discards a packet that a dequeue() of destroy() has brought. */
  discard(packet: CompletionPacket): void {
    if (packet.buffer >= 0) this.release(packet.buffer);
    if (packet.handle >= 0) this.#driver.discard(packet.handle);
  }

  /** Discards the packets of the queue, in destroy(). */
  discardQueue(): void {
    const packet = new CompletionPacket();
    while (this.take([packet], 0, 1) > 0) this.discard(packet);
  }

  // A call of assert() makes an array of its arguments, also if the assertion holds.

  #start(socket: S, event: Overlapped | null): void {
    if (socket.closing) assert.fail('an operation on a socket that is closing');
    if (event !== null) checkFree(event);
    this.begin(socket, event);
  }

  #startSend(of: PortSocket, event: Overlapped): S {
    const socket = this.#own(of);
    assertSends(socket);
    this.#start(socket, event);
    socket.sending = event;
    return socket;
  }

  /** The socket as the driver knows it. The port must be open. */
  #own(socket: PortSocket): S {
    this.#assertOpen();
    if (!(socket instanceof Socket) || socket.port !== (this as unknown)) {
      assert.fail('the socket is not of this port');
    }
    return socket as S;
  }

  #assertOpen(): void {
    if (!this.#open) throw new IocpError('use the port', 'it is closed', 'EBADF', 'port');
  }
}

/** Asserts that the event may be used for an operation. */
function checkFree(event: Overlapped): void {
  if (event.pending) assert.fail('the event is in use by another operation');
  checkEvent(event);
}

/** Asserts that bytes, or an end, may follow on a connection. */
function assertSends(socket: Socket): void {
  if (socket.kind !== Kind.Connection) assert.fail('only a connection sends and shuts down');
  if (socket.sending !== null || socket.shutDown) assert.fail('a send is in flight, or the socket was shut down');
}
