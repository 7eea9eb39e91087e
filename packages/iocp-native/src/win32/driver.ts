// The driver of Windows' own completion ports. To start an operation is a call to Winsock. All packets pass through the
// port's packet queue, so that they keep the order in which operations ended: those that the kernel brings in batches, and
// those of operations that ended at once.

import assert from 'node:assert';
import type { Driver } from '../contract/driver.js';
import type { GatherList } from '../contract/gather-list.js';
import type {
  CompletionPacket,
  DatagramOptions,
  Endpoint,
  ListenOptions,
  Overlapped,
  PipeEndpoint,
  PortToken,
  SocketOptions,
} from '../contract/port.js';
import { disown, Owned, write } from '../native/ledger.js';
import type { NativeBlock } from '../native/memory.js';
import { Gate } from '../port/gate.js';
import { HandedPosts, ownPosted } from '../port/handed-posts.js';
import type { Port } from '../port/port.js';
import { Kind } from '../port/socket.js';
import { Acceptor } from './acceptor.js';
import { Connector } from './connector.js';
import { Datagrams, SINK_SIZE } from './datagrams.js';
import { FileSender } from './file-sender.js';
import { addressOf, ENTRIES_SIZE, KernelQueue, Key, statusOf } from './kernel-queue.js';
import { ENTRIES, OVERLAPPED_ENTRY, PAGE } from './layout.js';
import { LoopWaiter } from './loop-waiter.js';
import { Notifier } from './notifier.js';
import { TakenPost } from './poster.js';
import { Receiver } from './receiver.js';
import { Sender } from './sender.js';
import { Win32Socket } from './socket.js';
import { SocketHandles } from './socket-handles.js';
import { discardHandle } from './winsock.js';

const ENTRY_WORDS = OVERLAPPED_ENTRY.size >> 2;
const ENTRY_OVERLAPPED = OVERLAPPED_ENTRY.lpOverlapped >> 2;
const ENTRY_BYTES = OVERLAPPED_ENTRY.dwNumberOfBytesTransferred >> 2;
/** drain() waits so often, for 100 ms each, for the packets of operations in flight. */
const DRAIN_ROUNDS = 50;
/** After so many of them it closes the handles, which ends operations that a cancel could not end. */
const CANCEL_ROUNDS = 10;

export class IocpDriver implements Driver<Win32Socket> {
  readonly #port: Port<Win32Socket>;
  readonly #queue: KernelQueue;
  readonly #handles: SocketHandles;
  readonly #acceptor: Acceptor;
  readonly #connector: Connector;
  readonly #receiver: Receiver;
  readonly #sender: Sender;
  readonly #files: FileSender;
  readonly #datagrams: Datagrams;
  readonly #notifier: Notifier;
  readonly #gate = new Gate();
  readonly #handed = new HandedPosts();
  #loop: LoopWaiter | null = null;
  /** The packet queue alone filled the last batch, so the next dequeue() asks the kernel in any case. */
  #kernelIsDue = false;

  constructor(port: Port<Win32Socket>) {
    this.#port = port;
    // All memory before the kernel's queue: when there is none, nothing else is to be given back.
    const page = port.allocate(PAGE.size, true);
    const entries = port.allocate(ENTRIES_SIZE, true);
    const sink = port.allocate(SINK_SIZE, true);
    this.#queue = new KernelQueue(page, entries);
    this.#handles = new SocketHandles(port, this.#queue);
    this.#acceptor = new Acceptor(port, this.#queue, this.#handles);
    this.#connector = new Connector(port, this.#queue, this.#handles);
    this.#sender = new Sender(port, this.#queue);
    this.#files = new FileSender(port, this.#queue, this.#handles);
    this.#datagrams = new Datagrams(port, this.#queue, this.#handles, sink);
    this.#receiver = new Receiver(port, this.#queue, this.#handles, this.#datagrams);
    this.#notifier = new Notifier({
      port: this.#queue.handle,
      hasPackets: () => port.packets.length > 0 || this.#receiver.hasWork,
    });
  }

  listen(local: Endpoint | PipeEndpoint, options: ListenOptions): Win32Socket {
    return this.#acceptor.listen(local, options);
  }

  bind(local: Endpoint, options: DatagramOptions): Win32Socket {
    return this.#datagrams.bind(local, options);
  }

  adopt(handle: number): Win32Socket {
    ownPosted(handle);
    return this.#handles.add(Kind.Connection, handle, 'adopt a connection');
  }

  discard(handle: number): void {
    discardHandle(handle);
  }

  connection(): Win32Socket {
    return this.#port.add(new Win32Socket(this.#port, Kind.Connection));
  }

  accept(listener: Win32Socket, event: Overlapped): void {
    this.#acceptor.accept(listener, event);
  }

  connect(socket: Win32Socket, event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void {
    this.#connector.connect(socket, event, remote, options);
  }

  receive(socket: Win32Socket): void {
    this.#receiver.receive(socket);
  }

  send(socket: Win32Socket, event: Overlapped, pieces: GatherList): void {
    this.#sender.send(socket, event, pieces);
  }

  sendTo(socket: Win32Socket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    this.#datagrams.send(socket, event, pieces, to);
  }

  sendFile(socket: Win32Socket, event: Overlapped, file: number, offset: number, length: number): void {
    this.#files.send(socket, event, file, offset, length);
  }

  shutdown(socket: Win32Socket): void {
    this.#sender.shutdown(socket);
  }

  cancel(socket: Win32Socket, event: Overlapped): void {
    if (socket.kind === Kind.Listener) this.#acceptor.cancel(socket, event);
    else if (event === socket.receiving) this.#receiver.cancel(socket);
    else if (event === socket.connecting) this.#connector.cancel(socket, event);
    else if (event === socket.sending && socket.file !== null) this.#files.cancel(socket);
    else this.#handles.cancel(socket, addressOf(event));
  }

  close(socket: Win32Socket, reset: boolean): void {
    socket.reset = reset;
    if (socket.receiving !== null) this.#receiver.cancel(socket);
    if (socket.connecting !== null) this.#connector.cancel(socket, socket.connecting);
    if (socket.kind === Kind.Listener) this.#acceptor.close(socket);
    if (socket.file !== null) this.#files.cancel(socket);
    if (socket.pending === 0) return;
    this.#handles.cancel(socket, 0);
    this.#handles.closeSoon(socket);
  }

  closeHandle(socket: Win32Socket): void {
    this.#handles.close(socket);
    this.#port.closed(socket);
  }

  provide(buffer: number): void {
    this.#receiver.provide(buffer);
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    const { packets } = this.#port;
    this.#handed.served();
    this.#receiver.rearm();
    this.#connector.retry();
    if (packets.length < batch.length || this.#kernelIsDue) {
      this.#takeFromKernel(batch.length, packets.length > 0 ? 0 : this.#wait(timeout));
      this.#kernelIsDue = false;
    } else {
      this.#kernelIsDue = true;
    }
    return this.#port.take(batch, 0, batch.length);
  }

  wake(): void {
    this.#notifier.wake();
  }

  watch(ready: () => void): void {
    this.#notifier.watch(ready);
  }

  unwatch(): void {
    this.#notifier.unwatch();
  }

  /** A dequeue() that finds packets at once does not look at the loop. */
  readonly loopDue = true;

  waitForLoop(): void {
    this.#loop = LoopWaiter.ofThread();
  }

  share(): PortToken {
    return { backend: 'iocp', handle: this.#queue.handle, queue: this.#gate.memory };
  }

  stop(): void {
    this.#gate.close();
    this.#handed.leave();
    this.#notifier.close();
  }

  drain(): boolean {
    const port = this.#port;
    for (let round = 0; port.stats.sockets > 0 && round < DRAIN_ROUNDS; round++) {
      for (const socket of port.sockets.all()) {
        // An instance of a pipe that waits for its client ends with its listener.
        if (socket.accepting === null) port.close(socket);
        if (round >= CANCEL_ROUNDS) this.#handles.close(socket);
      }
      if (port.packets.length === 0) this.#takeFromKernel(ENTRIES, 100);
      port.discardQueue();
    }
    const drained = port.stats.sockets === 0;
    // The reaper of a thread frees its memory by this count.
    assert(!drained || this.#queue.pendingPackets === 0, 'the pending packets of the kernel were miscounted');
    for (const socket of port.sockets.all()) {
      this.#handles.close(socket);
      if (socket.accepting === null) port.remove(socket);
    }
    return drained;
  }

  destroy(): void {
    this.#queue.close();
  }

  abandon(block: NativeBlock): void {
    // Otherwise the reaper of this thread would unmap it.
    disown(Owned.Block, block.address);
  }

  /** Waits for packets and for the event loop, if this port waits in its place. Gives the time that is left to wait. */
  #wait(timeout: number): number {
    if (timeout === 0 || this.#loop === null) return timeout;
    this.#loop.wait(timeout, this.#queue.handle);
    return 0;
  }

  /** Makes packets of the kernel's entries. */
  #takeFromKernel(most: number, timeout: number): void {
    const count = this.#queue.take(most, timeout);
    if (count === 0) return;
    this.#notifier.taken();
    const { entries } = this.#queue;
    for (let i = 0; i < count; i++) {
      const at = i * ENTRY_WORDS;
      const low = entries[at]!;
      const overlapped = entries[at + ENTRY_OVERLAPPED + 1]! * 0x100000000 + entries[at + ENTRY_OVERLAPPED]!;
      const bytes = entries[at + ENTRY_BYTES]!;
      // The reaper of this thread must not find it there again.
      entries[at] = Key.None;
      if (low === Key.Post) {
        const record = write(Owned.Post, overlapped, bytes);
        this.#port.queuePost(overlapped, bytes, record < 0 ? null : new TakenPost(this.#handed, record));
        continue;
      }
      this.#queue.packetTaken();
      if (!this.#complete(low, entries[at + 1]!, overlapped, bytes)) this.#port.stats.dropped++;
    }
  }

  /** False for a late packet: its slot or its event serves another by now. */
  #complete(index: number, generation: number, overlapped: number, bytes: number): boolean {
    const socket = this.#port.sockets.find(index, generation);
    if (socket === null) return false;
    const { receiving, sending, connecting, accepting } = socket;
    if (receiving !== null && overlapped === addressOf(receiving)) {
      this.#receiver.complete(socket, statusOf(receiving), bytes);
    } else if (sending !== null && overlapped === addressOf(sending)) {
      if (socket.file !== null) this.#files.complete(socket, sending, statusOf(sending), bytes);
      else this.#sender.complete(socket, sending, statusOf(sending), bytes);
    } else if (connecting !== null && overlapped === addressOf(connecting)) {
      this.#connector.complete(socket, connecting, statusOf(connecting));
    } else if (socket.datagrams !== null) {
      return this.#datagrams.complete(socket, overlapped, bytes);
    } else if (accepting !== null && overlapped === addressOf(accepting.event)) {
      this.#acceptor.completePipe(socket, statusOf(accepting.event));
    } else if (socket.kind === Kind.Listener) {
      return this.#acceptor.complete(socket, overlapped);
    } else {
      return false;
    }
    return true;
  }
}
