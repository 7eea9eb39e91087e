// The completion port of Windows itself. Starting an operation is a call to Winsock; dequeue() takes packets from the
// kernel in batches, and what finished at once from the queue.

import assert from 'node:assert';
import {
  CompletionPacket,
  type CompletionPort,
  type Endpoint,
  type GatherList,
  type ListenOptions,
  Operation,
  type Overlapped,
  type PortFigures,
  type PortOptions,
  type PortToken,
  type SocketOptions,
} from '../contract.js';
import { IocpError } from '../errors.js';
import { BlockStore, type NativeBlock } from '../memory.js';
import { ReceiveBuffers } from '../receive-buffers.js';
import { readSockaddr, writeSockaddr } from '../sockaddr.js';
import { Acceptor } from './acceptor.js';
import { AF_INET6, ERROR_IO_PENDING, SD_SEND, WAIT_TIMEOUT, WSA_IO_PENDING } from './constants.js';
import { Engine, Key } from './engine.js';
import { win32Error } from './errors.js';
import { CloseHandle, GetLastError, GetQueuedCompletionStatusEx } from './kernel32.js';
import { EVENT_ADDRESSES, EVENT_BUFFERS, OVERLAPPED_ENTRY, WSABUF } from './layout.js';
import { win32Memory } from './memory.js';
import { Notifier, WATCHED_SIZE } from './notifier.js';
import { Gate } from './poster.js';
import { Receiver } from './receiver.js';
import { createConnector, createListener, endpointText, finishConnect, type Win32Socket } from './socket.js';
import { ConnectEx, shutdown, WSAGetLastError, WSASend } from './ws2_32.js';

const ENTRY_WORDS = OVERLAPPED_ENTRY.size >> 2;
/** Entries that one call may bring. */
const ENTRIES = 256;
const ENTRY_OVERLAPPED = OVERLAPPED_ENTRY.lpOverlapped >> 2;
const ENTRY_BYTES = OVERLAPPED_ENTRY.dwNumberOfBytesTransferred >> 2;
/** Milliseconds that dequeue() stays in the kernel: worker.terminate() and process.exit() wait for it. */
const SLICE = 1000;
/** Milliseconds that a blocking dequeue() waits for the event loop's waiter to leave. */
const RECALL = 50;
/** destroy() waits this often, 100 ms each, for the kernel to let go of what is in flight. */
const DRAIN_ROUNDS = 50;

/** Blocks of native memory outlive their ports, so that stale views stay harmless. */
const blocks = new BlockStore(win32Memory);

export class IocpPort implements CompletionPort {
  readonly backend = 'iocp';
  readonly concurrency: number;
  readonly figures: PortFigures;
  readonly receiveBlock: NativeBlock;

  readonly #engine: Engine;
  readonly #acceptor: Acceptor;
  readonly #receiver: Receiver;
  readonly #notifier: Notifier;
  readonly #buffers: ReceiveBuffers;
  readonly #gate = new Gate();
  readonly #blocks: NativeBlock[] = [];
  readonly #entries: NativeBlock;
  readonly #watchedEntries: NativeBlock;
  readonly #dequeueEx = GetQueuedCompletionStatusEx.bound();
  readonly #send = WSASend.bound();
  /** The queue alone filled the last batch, so this time the kernel is asked in any case. */
  #kernelIsDue = false;
  readonly #discarded = new CompletionPacket();
  #open = true;

  constructor(options: Required<PortOptions>) {
    this.concurrency = options.concurrency;
    const { count, size } = options.receiveBuffers;
    // Not among #blocks: the wait of the event loop may outlive the port by a moment.
    this.#watchedEntries = blocks.take(WATCHED_SIZE);
    try {
      this.receiveBlock = this.allocate(count * size);
      this.#entries = this.allocate(ENTRIES * OVERLAPPED_ENTRY.size + 4);
      const scratch = this.allocate(16);
      this.#engine = new Engine(options.concurrency, scratch, () => this.#notifier.nudge());
    } catch (error) {
      for (const block of [...this.#blocks, this.#watchedEntries]) blocks.give(block);
      throw error;
    }
    this.#buffers = new ReceiveBuffers(this.receiveBlock, count, size);
    this.figures = this.#engine.figures;
    this.#acceptor = new Acceptor(this.#engine);
    this.#receiver = new Receiver(this.#engine, this.#buffers);
    const watched = {
      port: this.#engine.port,
      wake: () => this.#engine.wake(),
      take: this.#take,
      hasPackets: () => this.#engine.queue.length > 0 || this.#receiver.hasWork,
    };
    this.#notifier = new Notifier(watched, this.#watchedEntries);
  }

  allocate(bytes: number): NativeBlock {
    this.#assertOpen();
    const block = blocks.take(bytes);
    this.#blocks.push(block);
    return block;
  }

  async listen(local: Endpoint, options: ListenOptions = {}): Promise<Win32Socket> {
    this.#assertOpen();
    const state = { family: local.family, options, accepts: new Map() };
    return this.#engine.addSocket(createListener(local, options), state, `listen on ${endpointText(local)}`);
  }

  accept(socket: Win32Socket, event: Overlapped): void {
    this.#assertOpen();
    this.#acceptor.accept(socket, event);
  }

  connect(event: Overlapped, remote: Endpoint, key: unknown, options: SocketOptions = {}): Win32Socket {
    this.#assertOpen();
    const action = `connect to ${endpointText(remote)}`;
    const length = writeSockaddr(remote, event.block.bytes, event.offset + EVENT_ADDRESSES, AF_INET6);
    let socket: Win32Socket;
    let failure: IocpError | null = null;
    try {
      socket = this.#engine.addSocket(createConnector(remote.family, options, action), null, action);
    } catch (error) {
      failure = error as IocpError;
      socket = this.#engine.addSocket(-1, null, action);
    }
    socket.key = key;
    this.#engine.start(socket, event);
    socket.connecting = event;
    if (failure) {
      this.#engine.queuePacket(Operation.Connect, socket, event, failure);
      return socket;
    }
    const overlapped = this.#engine.prepare(event);
    const address = overlapped + EVENT_ADDRESSES;
    const { scratch } = this.#engine;
    const done = ConnectEx(socket.handle, address, length, 0, 0, scratch.address, overlapped) !== 0;
    const errno = done ? 0 : WSAGetLastError();
    if (errno === ERROR_IO_PENDING || (done && !socket.skipsPacketOnSuccess)) return socket;
    this.#connected(socket, event, errno);
    return socket;
  }

  receive(socket: Win32Socket, event: Overlapped): void {
    this.#assertOpen();
    this.#receiver.receive(socket, event);
  }

  release(buffer: number): void {
    this.#assertOpen();
    this.#receiver.release(buffer);
  }

  retain(buffer: number): void {
    this.#assertOpen();
    this.#buffers.retain(buffer);
  }

  bufferOf(bytes: Uint8Array): number {
    return this.#buffers.indexOf(bytes);
  }

  send(socket: Win32Socket, event: Overlapped, pieces: GatherList): void {
    this.#assertOpen();
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, event);
    socket.sending = event;
    writeBuffers(event, pieces);
    const overlapped = this.#engine.prepare(event);
    const { scratch } = this.#engine;
    const list = overlapped + EVENT_BUFFERS;
    if (this.#send(socket.handle, list, pieces.count, scratch.address, 0, overlapped, 0) === 0) {
      if (socket.skipsPacketOnSuccess) this.#sent(socket, event, scratch.words[0]!, 0);
      return;
    }
    const errno = WSAGetLastError();
    if (errno !== WSA_IO_PENDING) this.#sent(socket, event, 0, errno);
  }

  shutdown(socket: Win32Socket): void {
    this.#assertOpen();
    assert(socket.sending === null && !socket.shuttingDown, 'a send is in flight, or the socket was shut down');
    this.#engine.start(socket, null);
    socket.shuttingDown = true;
    const failed = shutdown(socket.handle, SD_SEND) !== 0;
    const error = failed ? win32Error('shut down', 'shutdown', WSAGetLastError()) : null;
    this.#engine.queuePacket(Operation.Shutdown, socket, null, error);
  }

  cancel(socket: Win32Socket, event: Overlapped): void {
    this.#assertOpen();
    if (socket.listener) this.#acceptor.cancel(socket, event);
    else if (event === socket.receiving) this.#receiver.cancel(socket);
    else if (event === socket.sending || event === socket.connecting) {
      this.#engine.cancel(socket, event.block.address + event.offset);
    }
  }

  close(socket: Win32Socket, reset = false): void {
    this.#assertOpen();
    if (socket.closing) return;
    socket.closing = true;
    socket.reset = reset;
    if (socket.receiving !== null) this.#receiver.cancel(socket);
    if (socket.pending > 0) this.#engine.cancel(socket, 0);
    else this.#engine.closeWhenDrained(socket);
  }

  post(key: unknown, bytes: number): void {
    this.#assertOpen();
    this.#queuePost(key, bytes);
  }

  share(): PortToken {
    this.#assertOpen();
    return { backend: this.backend, handle: this.#engine.port, queue: this.#gate.memory };
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    this.#assertOpen();
    const { queue } = this.#engine;
    this.#receiver.rearm();
    // While the event loop's waiter is in the kernel, there is nothing that it would not take itself.
    let alone = this.#notifier.collect();
    if (!alone && timeout !== 0 && queue.length === 0) {
      alone = this.#notifier.recall(timeout < 0 ? RECALL : Math.min(timeout, RECALL));
    }
    if (alone && (queue.length < batch.length || this.#kernelIsDue)) {
      this.#takeFromKernel(batch.length, queue.length > 0 ? 0 : timeout);
      this.#kernelIsDue = false;
    } else {
      this.#kernelIsDue = true;
    }
    const n = Math.min(batch.length, queue.length);
    for (let i = 0; i < n; i++) this.#deliver(batch[i]!);
    if (n > 0) {
      this.figures.wakeUps++;
      this.figures.packets += n;
    }
    return n;
  }

  watch(ready: () => void): void {
    this.#assertOpen();
    this.#notifier.watch(ready);
  }

  unwatch(): void {
    this.#assertOpen();
    this.#notifier.unwatch();
  }

  destroy(): void {
    if (!this.#open) return;
    this.#gate.close();
    this.#notifier.unwatch();
    this.#notifier.recall(SLICE);
    const drained = this.#drain();
    this.#open = false;
    this.#notifier.finish(() => {
      const result = CloseHandle(this.#engine.port);
      assert(result !== 0, 'CloseHandle failed on a port');
      blocks.give(this.#watchedEntries);
    });
    // What the kernel has not let go of must not be used again.
    if (drained) for (const block of this.#blocks) blocks.give(block);
  }

  /** Closes every socket and discards packets until nothing is in flight. False when the kernel did not follow. */
  #drain(): boolean {
    const { queue } = this.#engine;
    for (let round = 0; this.figures.sockets > 0 && round < DRAIN_ROUNDS; round++) {
      for (const socket of this.#engine.sockets) this.close(socket);
      if (queue.length === 0 && this.#notifier.recall(100)) this.#takeFromKernel(ENTRIES, 100);
      while (queue.length > 0) this.#discard();
    }
    const drained = this.figures.sockets === 0;
    for (const socket of this.#engine.sockets) this.#engine.removeSocket(socket);
    return drained;
  }

  #discard(): void {
    const packet = this.#discarded;
    this.#deliver(packet);
    if (packet.buffer >= 0) this.#receiver.release(packet.buffer);
  }

  /** Moves the oldest packet of the queue into `packet`. */
  #deliver(packet: CompletionPacket): void {
    const origin = this.#engine.queue.shift(packet) as Win32Socket | null;
    if (origin === null) return;
    if (packet.data !== null) this.#receiver.delivered(origin);
    else this.#engine.finish(origin, packet.event);
  }

  #takeFromKernel(most: number, timeout: number): void {
    const { address, words } = this.#entries;
    const removed = address + ENTRIES * OVERLAPPED_ENTRY.size;
    const wait = timeout < 0 ? SLICE : Math.min(Math.ceil(timeout), SLICE);
    if (this.#dequeueEx(this.#engine.port, address, Math.min(most, ENTRIES), removed, wait, 0) === 0) {
      const errno = GetLastError();
      if (errno !== WAIT_TIMEOUT) throw win32Error('dequeue packets', 'GetQueuedCompletionStatusEx', errno);
      return;
    }
    this.#take(words, words[ENTRIES * ENTRY_WORDS]!);
  }

  /** Turns the kernel's packets into ours. */
  readonly #take = (words: Uint32Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const at = i * ENTRY_WORDS;
      const low = words[at]!;
      const overlapped = words[at + ENTRY_OVERLAPPED + 1]! * 0x100000000 + words[at + ENTRY_OVERLAPPED]!;
      const bytes = words[at + ENTRY_BYTES]!;
      if (low === Key.Post) this.#queuePost(overlapped, bytes);
      else if (low !== Key.Wake && !this.#complete(low, words[at + 1]!, overlapped, bytes)) this.figures.dropped++;
    }
  };

  /** False for a late packet: its socket or its event serves another by now. */
  #complete(index: number, generation: number, overlapped: number, bytes: number): boolean {
    const socket = this.#engine.find(index, generation);
    if (socket === null) return false;
    const { receiving, sending, connecting } = socket;
    if (receiving !== null && overlapped === receiving.block.address + receiving.offset) {
      this.#receiver.complete(socket, statusOf(receiving), bytes);
    } else if (sending !== null && overlapped === sending.block.address + sending.offset) {
      this.#sent(socket, sending, bytes, statusOf(sending));
    } else if (connecting !== null && overlapped === connecting.block.address + connecting.offset) {
      this.#connected(socket, connecting, statusOf(connecting));
    } else if (socket.listener !== null) {
      return this.#acceptor.complete(socket, overlapped);
    } else {
      return false;
    }
    return true;
  }

  #sent(socket: Win32Socket, event: Overlapped, bytes: number, errno: number): void {
    const error = errno === 0 ? null : win32Error('send', 'WSASend', errno);
    this.#engine.queuePacket(Operation.Send, socket, event, error).bytes = bytes;
  }

  #connected(socket: Win32Socket, event: Overlapped, status: number): void {
    const errno = status || finishConnect(socket.handle);
    const error = errno === 0 ? null : win32Error(connectAction(event), 'ConnectEx', errno);
    this.#engine.queuePacket(Operation.Connect, socket, event, error);
  }

  #queuePost(key: unknown, bytes: number): void {
    const packet = this.#engine.queue.push();
    packet.operation = Operation.Post;
    packet.key = key;
    packet.bytes = bytes;
    this.#notifier.nudge();
  }

  #assertOpen(): void {
    if (!this.#open) throw new IocpError('use the port', 'it is closed', 'EBADF', 'port');
  }
}

/** The NTSTATUS that the kernel left in an event. */
function statusOf(event: Overlapped): number {
  return event.block.words[event.offset >> 2]!;
}

/** What a connect wanted, from the address that it left in its event. */
function connectAction(event: Overlapped): string {
  return `connect to ${endpointText(readSockaddr(event.block.bytes, event.offset + EVENT_ADDRESSES))}`;
}

/** Lays out the WSABUFs of a send in the event's own memory. */
function writeBuffers(event: Overlapped, pieces: GatherList): void {
  const { words } = event.block;
  for (let i = 0; i < pieces.count; i++) {
    const at = (event.offset + EVENT_BUFFERS + i * WSABUF.size) >> 2;
    const start = pieces.blocks[i]!.address + pieces.offsets[i]!;
    words[at] = pieces.lengths[i]!;
    words[at + (WSABUF.buf >> 2)] = start;
    words[at + (WSABUF.buf >> 2) + 1] = Math.floor(start / 0x100000000);
  }
}
