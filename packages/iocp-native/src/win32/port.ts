// The completion port of Windows itself. Starting an operation is a call to Winsock; dequeue() takes packets from the
// kernel in batches, and what finished at once from the queue.

import assert from 'node:assert';
import { IocpError } from '../contract/errors.js';
import {
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
  type PortStats,
  type PortToken,
  type SocketOptions,
} from '../contract/port.js';
import { disown, Owned, write } from '../native/ledger.js';
import { BlockStore, type NativeBlock } from '../native/memory.js';
import { checkHandle } from '../port/checks.js';
import { Gate } from '../port/gate.js';
import { HandedPosts, ownPosted } from '../port/handed-posts.js';
import { detachedHandle } from '../port/packet-queue.js';
import { ReceiveBuffers } from '../port/receive-buffers.js';
import { Acceptor } from './acceptor.js';
import { Connector } from './connector.js';
import { WAIT_TIMEOUT } from './constants.js';
import { Datagrams } from './datagrams.js';
import { Engine, Key } from './engine.js';
import { win32Error } from './errors.js';
import { FileSender } from './file-sender.js';
import { CloseHandle, GetLastError, GetQueuedCompletionStatusEx } from './kernel32.js';
import { ENTRIES, OVERLAPPED_ENTRY, PAGE } from './layout.js';
import { LoopHost } from './loop-host.js';
import { win32Memory } from './memory.js';
import { Notifier } from './notifier.js';
import { TakenPost } from './poster.js';
import { Receiver } from './receiver.js';
import { Sender } from './sender.js';
import { discardHandle, type Win32Socket } from './socket.js';

const ENTRY_WORDS = OVERLAPPED_ENTRY.size >> 2;
const ENTRY_OVERLAPPED = OVERLAPPED_ENTRY.lpOverlapped >> 2;
const ENTRY_BYTES = OVERLAPPED_ENTRY.dwNumberOfBytesTransferred >> 2;
/** Milliseconds that dequeue() stays in the kernel: worker.terminate() and process.exit() wait for it. */
const SLICE = 1000;
/** destroy() waits this often, 100 ms each, for the kernel to let go of what is in flight. */
const DRAIN_ROUNDS = 50;
/** After so many it closes the handles over that. */
const CANCEL_ROUNDS = 10;

/** Blocks of native memory outlive their ports, so that stale views stay harmless. */
const blocks = new BlockStore(win32Memory);

export class IocpPort implements CompletionPort {
  readonly backend = 'iocp';
  readonly native = true;
  readonly concurrency: number;
  readonly stats: PortStats;
  readonly receiveBlock: NativeBlock;

  readonly #engine: Engine;
  readonly #acceptor: Acceptor;
  readonly #connector: Connector;
  readonly #receiver: Receiver;
  readonly #sender: Sender;
  readonly #files: FileSender;
  readonly #datagrams: Datagrams;
  readonly #notifier: Notifier;
  readonly #buffers: ReceiveBuffers;
  readonly #gate = new Gate();
  readonly #handed = new HandedPosts();
  readonly #blocks: NativeBlock[] = [];
  readonly #entries: NativeBlock;
  readonly #dequeueEx = GetQueuedCompletionStatusEx.bound();
  #loopHost: LoopHost | null = null;
  /** The queue alone filled the last batch, so this time the kernel is asked in any case. */
  #kernelIsDue = false;
  readonly #discarded = new CompletionPacket();
  #open = true;

  constructor(options: Required<PortOptions>) {
    this.concurrency = options.concurrency;
    const { count, size } = options.receiveBuffers;
    try {
      this.receiveBlock = this.allocate(ReceiveBuffers.bytesFor(count, size));
      this.#entries = this.allocate(ENTRIES * OVERLAPPED_ENTRY.size + 4, true);
      clearEntries(this.#entries, ENTRIES);
      const scratch = this.allocate(PAGE.size, true);
      describe(scratch, PAGE.entries, this.#entries);
      this.#engine = new Engine(scratch, () => this.#notifier.nudge());
    } catch (error) {
      for (const block of this.#blocks) blocks.give(block);
      throw error;
    }
    this.#buffers = new ReceiveBuffers(this.receiveBlock, count, size);
    this.stats = this.#engine.stats;
    this.#acceptor = new Acceptor(this.#engine);
    this.#connector = new Connector(this.#engine);
    this.#sender = new Sender(this.#engine);
    this.#files = new FileSender(this.#engine, (bytes) => this.allocate(bytes, true));
    this.#datagrams = new Datagrams(this.#engine, this.#buffers, (bytes) => this.allocate(bytes, true));
    this.#receiver = new Receiver(this.#engine, this.#buffers, this.#datagrams);
    this.#notifier = new Notifier({
      port: this.#engine.port,
      hasPackets: () => this.#engine.queue.length > 0 || this.#receiver.hasWork,
    });
  }

  allocate(bytes: number, hidden = false): NativeBlock {
    this.#assertOpen();
    const block = blocks.take(bytes, hidden);
    this.#blocks.push(block);
    return block;
  }

  async listen(local: Endpoint | PipeEndpoint, options: ListenOptions = {}): Promise<Win32Socket> {
    this.#assertOpen();
    return this.#acceptor.listen(local, options);
  }

  accept(socket: Win32Socket, event: Overlapped): void {
    this.#assertOpen();
    this.#acceptor.accept(socket, event);
  }

  connect(event: Overlapped, remote: Endpoint | PipeEndpoint, key: unknown, options?: SocketOptions): Win32Socket {
    this.#assertOpen();
    return this.#connector.connect(event, remote, key, options);
  }

  adopt(handle: number): Win32Socket {
    if (!this.#open) discardHandle(handle);
    this.#assertOpen();
    checkHandle(handle);
    ownPosted(handle);
    return this.#engine.addSocket(handle, null, 'adopt a connection');
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

  placeOf(bytes: Uint8Array): number {
    return this.#buffers.placeOf(bytes);
  }

  send(socket: Win32Socket, event: Overlapped, pieces: GatherList): void {
    this.#assertOpen();
    this.#sender.send(socket, event, pieces);
  }

  async bind(local: Endpoint, options: DatagramOptions = {}): Promise<Win32Socket> {
    this.#assertOpen();
    return this.#datagrams.open(local, options);
  }

  sendTo(socket: Win32Socket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    this.#assertOpen();
    this.#datagrams.send(socket, event, pieces, to);
  }

  sendFile(socket: Win32Socket, event: Overlapped, file: number, offset: number, length: number): void {
    this.#assertOpen();
    this.#files.send(socket, event, file, offset, length);
  }

  shutdown(socket: Win32Socket): void {
    this.#assertOpen();
    this.#sender.shutdown(socket);
  }

  cancel(socket: Win32Socket, event: Overlapped): void {
    this.#assertOpen();
    if (socket.listener) this.#acceptor.cancel(socket, event);
    else if (event === socket.receiving) this.#receiver.cancel(socket);
    else if (event === socket.connecting) this.#connector.cancel(socket, event);
    else if (event === socket.sending && socket.file !== null) this.#files.cancel(socket);
    else if (event === socket.sending || socket.datagrams !== null) {
      this.#engine.cancel(socket, event.block.address + event.offset);
    }
  }

  close(socket: Win32Socket, reset = false): void {
    this.#assertOpen();
    if (socket.closing) return;
    socket.closing = true;
    socket.reset = reset;
    if (socket.receiving !== null) this.#receiver.cancel(socket);
    if (socket.connecting !== null) this.#connector.cancel(socket, socket.connecting);
    if (socket.listener !== null) this.#acceptor.close(socket);
    if (socket.file !== null) this.#files.cancel(socket);
    if (socket.pending > 0) {
      this.#engine.cancel(socket, 0);
      this.#engine.awaitPackets(socket);
    } else {
      this.#engine.closeWhenDrained(socket);
    }
  }

  post(key: unknown, bytes: number): void {
    this.#assertOpen();
    this.#queuePost(key, bytes, null);
  }

  share(): PortToken {
    this.#assertOpen();
    return { backend: this.backend, handle: this.#engine.port, queue: this.#gate.memory };
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    this.#assertOpen();
    const { queue } = this.#engine;
    this.#handed.served();
    this.#receiver.rearm();
    this.#connector.retry();
    if (queue.length < batch.length || this.#kernelIsDue) {
      this.#takeFromKernel(batch.length, queue.length > 0 ? 0 : this.#waitForLoop(timeout));
      this.#kernelIsDue = false;
    } else {
      this.#kernelIsDue = true;
    }
    const n = Math.min(batch.length, queue.length);
    for (let i = 0; i < n; i++) this.#deliver(batch[i]!);
    if (n > 0) {
      this.stats.wakeUps++;
      this.stats.packets += n;
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

  waitForLoop(): void {
    this.#assertOpen();
    this.#loopHost = LoopHost.ofThread();
  }

  destroy(): void {
    if (!this.#open) return;
    this.#gate.close();
    this.#handed.leave();
    this.#notifier.close();
    const drained = this.#drain();
    // Whoever reaps a thread frees its memory by this count.
    assert(
      !drained || this.#engine.scratch.words[PAGE.pendingPackets] === 0,
      'the packets that the kernel owes were miscounted',
    );
    this.#open = false;
    disown(Owned.Queue, this.#engine.port);
    const result = CloseHandle(this.#engine.port);
    assert(result !== 0, 'CloseHandle failed on a port');
    // What the kernel has not let go of must not be used again, nor unmapped by whoever reaps this thread.
    for (const block of this.#blocks) {
      if (drained) blocks.give(block);
      else disown(Owned.Block, block.address);
    }
  }

  /** Closes every socket and discards packets until nothing is in flight. False when the kernel did not follow. */
  #drain(): boolean {
    const { queue } = this.#engine;
    for (let round = 0; this.stats.sockets > 0 && round < DRAIN_ROUNDS; round++) {
      for (const socket of this.#engine.sockets) {
        this.close(socket);
        if (round >= CANCEL_ROUNDS) this.#engine.closeHandleOf(socket);
      }
      if (queue.length === 0) this.#takeFromKernel(ENTRIES, 100);
      while (queue.length > 0) this.#discard();
    }
    const drained = this.stats.sockets === 0;
    for (const socket of this.#engine.sockets) this.#engine.removeSocket(socket);
    return drained;
  }

  #discard(): void {
    const packet = this.#discarded;
    this.#deliver(packet);
    if (packet.buffer >= 0) this.#receiver.release(packet.buffer);
    const handle = detachedHandle(packet);
    if (handle >= 0) discardHandle(handle);
  }

  /** Moves the oldest packet of the queue into `packet`. */
  #deliver(packet: CompletionPacket): void {
    const origin = this.#engine.queue.shift(packet) as Win32Socket | TakenPost | null;
    if (origin === null) return;
    if (origin instanceof TakenPost) this.#handed.add(origin.record, packet.key as number, packet.bytes);
    else if (packet.data !== null) this.#receiver.delivered(origin);
    else this.#engine.finish(origin, packet.event);
    const handle = detachedHandle(packet);
    if (handle >= 0) disown(Owned.Handle, handle);
  }

  /** Waits for packets and for the event loop, if this port hosts it. How long to wait for packets afterwards. */
  #waitForLoop(timeout: number): number {
    if (timeout === 0 || this.#loopHost === null) return timeout;
    this.#loopHost.wait(timeout, this.#engine.port);
    return 0;
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
    this.#notifier.taken();
    this.#take(words, words[ENTRIES * ENTRY_WORDS]!);
  }

  /** Turns the kernel's packets into ours. */
  #take(words: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = i * ENTRY_WORDS;
      const low = words[at]!;
      const overlapped = words[at + ENTRY_OVERLAPPED + 1]! * 0x100000000 + words[at + ENTRY_OVERLAPPED]!;
      const bytes = words[at + ENTRY_BYTES]!;
      // Taken: whoever reaps this port must not find it there.
      words[at] = Key.None;
      if (low === Key.Post) {
        const record = write(Owned.Post, overlapped, bytes);
        this.#queuePost(overlapped, bytes, record < 0 ? null : new TakenPost(record));
        continue;
      }
      this.#engine.packetTaken();
      if (!this.#complete(low, words[at + 1]!, overlapped, bytes)) this.stats.dropped++;
    }
  }

  /** False for a late packet: its socket or its event serves another by now. */
  #complete(index: number, generation: number, overlapped: number, bytes: number): boolean {
    const socket = this.#engine.find(index, generation);
    if (socket === null) return false;
    const { receiving, sending, connecting, accepting } = socket;
    if (receiving !== null && overlapped === receiving.block.address + receiving.offset) {
      this.#receiver.complete(socket, statusOf(receiving), bytes);
    } else if (sending !== null && overlapped === sending.block.address + sending.offset) {
      if (socket.file !== null) this.#files.complete(socket, sending, statusOf(sending), bytes);
      else this.#sender.complete(socket, sending, statusOf(sending), bytes);
    } else if (connecting !== null && overlapped === connecting.block.address + connecting.offset) {
      this.#connector.complete(socket, connecting, statusOf(connecting));
    } else if (socket.datagrams !== null) {
      return this.#datagrams.complete(socket, overlapped, bytes);
    } else if (accepting !== null && overlapped === accepting.event.block.address + accepting.event.offset) {
      this.#acceptor.completePipe(socket, statusOf(accepting.event));
    } else if (socket.listener !== null) {
      return this.#acceptor.complete(socket, overlapped);
    } else {
      return false;
    }
    return true;
  }

  #queuePost(key: unknown, bytes: number, origin: TakenPost | null): void {
    const packet = this.#engine.queue.push(origin);
    packet.operation = Operation.Post;
    packet.key = key;
    packet.bytes = bytes;
    this.#notifier.nudge();
  }

  #assertOpen(): void {
    if (!this.#open) throw new IocpError('use the port', 'it is closed', 'EBADF', 'port');
  }
}

/** Marks entries as not written by the kernel. */
function clearEntries({ words }: NativeBlock, count: number): void {
  for (let i = 0; i < count; i++) words[i * ENTRY_WORDS] = Key.None;
}

/** Notes where a block lies in the port's own page. */
function describe(page: NativeBlock, at: number, block: NativeBlock): void {
  page.words[at] = block.address;
  page.words[at + 1] = Math.floor(block.address / 0x100000000);
}

/** The NTSTATUS that the kernel left in an event. */
function statusOf(event: Overlapped): number {
  return event.block.words[event.offset >> 2]!;
}
