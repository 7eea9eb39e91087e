// The completion port over one io_uring. Starting an operation writes a submission entry; dequeue() hands them all to
// the kernel with one system call, and turns completions into packets.

import { IocpError } from '../../contract/errors.js';
import {
  type CompletionPacket,
  type CompletionPort,
  createBatch,
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
} from '../../contract/port.js';
import { disown, Owned, strike } from '../../native/ledger.js';
import type { NativeBlock } from '../../native/memory.js';
import { checkHandle } from '../../port/checks.js';
import { ownPosted } from '../../port/handed-posts.js';
import { detachedHandle } from '../../port/packet-queue.js';
import { ReceiveBuffers } from '../../port/receive-buffers.js';
import { ENOENT, resultError } from '../errors.js';
import * as abi from '../layout.js';
import { linuxBlocks } from '../memory.js';
import { PostPipe } from '../post-pipe.js';
import { createListener, discardHandle } from '../sockets.js';
import { Acceptor } from './acceptor.js';
import { BufferRing } from './buffer-ring.js';
import { CANCEL, fill, LOOP, ROOM, WAKE } from './completion.js';
import { Connector } from './connector.js';
import { Datagrams } from './datagrams.js';
import { Ending } from './ending.js';
import { Engine } from './engine.js';
import { FileSender } from './file-sender.js';
import { LoopHost } from './loop-host.js';
import { Notifier } from './notifier.js';
import { Receiver } from './receiver.js';
import type { Ring } from './ring.js';
import { Room } from './room.js';
import { Sender } from './sender.js';
import { ListenerState, type UringSocket } from './socket.js';
import { cancelAtThreadEnd } from './thread-end.js';

const BUFFER_GROUP = 0;
/** Milliseconds that dequeue() stays in the kernel, where nothing of the event loop ends it: worker.terminate() waits. */
const SLICE = 1000;
/** How often dequeue() goes on when what completed has given no packet yet: a large send or file may do so for long. */
const ROUNDS = 8;
/** destroy() waits this often, 100 ms each, for the kernel to let go of what is in flight. */
const DRAIN_ROUNDS = 50;

export class UringPort implements CompletionPort {
  readonly backend = 'io_uring';
  readonly native = true;
  readonly concurrency: number;
  readonly stats: PortStats;
  readonly receiveBlock: NativeBlock;

  readonly #ring: Ring;
  readonly #notifier: Notifier;
  readonly #engine: Engine;
  readonly #acceptor: Acceptor;
  readonly #connector: Connector;
  readonly #receiver: Receiver;
  readonly #sender: Sender;
  readonly #datagrams: Datagrams;
  readonly #files: FileSender;
  readonly #room: Room;
  readonly #ending: Ending;
  readonly #buffers: ReceiveBuffers;
  readonly #bufferRing: BufferRing;
  readonly #blocks: NativeBlock[] = [];
  readonly #posts: PostPipe;
  /** Descriptors of cancelAtThreadEnd(). */
  #threadEnd: readonly number[] = [];
  #loopHost: LoopHost | null = null;
  #open = true;

  /** Takes the ring over; when this throws, the ring is closed. */
  constructor(options: Required<PortOptions>, ring: Ring) {
    this.concurrency = options.concurrency;
    const { count, size } = options.receiveBuffers;
    this.#ring = ring;
    try {
      this.receiveBlock = this.allocate(ReceiveBuffers.bytesFor(count, size));
      this.#buffers = new ReceiveBuffers(this.receiveBlock, count, size);
      const entries = this.allocate(count * abi.BUF.size, true);
      this.#bufferRing = new BufferRing(this.#ring.fd, BUFFER_GROUP, entries, this.#buffers);
      this.#posts = new PostPipe({ queuePost: (key, bytes, origin) => this.#queuePost(key, bytes, origin) });
      this.#notifier = new Notifier(this.#ring);
      const engine = new Engine(this.#ring, this.#notifier);
      this.#engine = engine;
      this.#acceptor = new Acceptor(engine);
      this.#connector = new Connector(engine);
      this.#room = new Room(engine, this.#resumeSend);
      this.#sender = new Sender(engine, this.#room);
      this.#datagrams = new Datagrams(engine, this.#buffers);
      this.#files = new FileSender(engine, this.#room, (bytes) => this.allocate(bytes, true));
      this.#receiver = new Receiver(engine, this.#buffers, this.#bufferRing, this.#datagrams);
      this.#ending = new Ending(engine, this.#acceptor, this.#connector, this.#receiver, this.#sender, this.#files);
      this.stats = engine.stats;
      this.#threadEnd = cancelAtThreadEnd(ring);
    } catch (error) {
      this.#ring.close();
      for (const block of this.#blocks) linuxBlocks.give(block);
      throw error;
    }
    this.#pollPosts();
    this.#ring.enter(0);
  }

  allocate(bytes: number, hidden = false): NativeBlock {
    this.#assertOpen();
    const block = linuxBlocks.take(bytes, hidden);
    this.#blocks.push(block);
    return block;
  }

  async listen(local: Endpoint | PipeEndpoint, options: ListenOptions = {}): Promise<UringSocket> {
    this.#assertOpen();
    const handle = createListener(local, options, 0);
    return this.#engine.addSocket(handle, new ListenerState(options.detached ?? false, local));
  }

  accept(socket: UringSocket, event: Overlapped): void {
    this.#assertOpen();
    this.#acceptor.accept(socket, event);
  }

  connect(event: Overlapped, remote: Endpoint | PipeEndpoint, key: unknown, options?: SocketOptions): UringSocket {
    this.#assertOpen();
    return this.#connector.connect(event, remote, key, options);
  }

  adopt(handle: number): UringSocket {
    if (!this.#open) discardHandle(handle);
    this.#assertOpen();
    checkHandle(handle);
    ownPosted(handle);
    return this.#engine.addSocket(handle, null);
  }

  receive(socket: UringSocket, event: Overlapped): void {
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

  send(socket: UringSocket, event: Overlapped, pieces: GatherList): void {
    this.#assertOpen();
    this.#sender.send(socket, event, pieces);
  }

  async bind(local: Endpoint, options: DatagramOptions = {}): Promise<UringSocket> {
    this.#assertOpen();
    return this.#datagrams.open(local, options);
  }

  sendTo(socket: UringSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    this.#assertOpen();
    this.#datagrams.send(socket, event, pieces, to);
  }

  sendFile(socket: UringSocket, event: Overlapped, file: number, offset: number, length: number): void {
    this.#assertOpen();
    this.#files.send(socket, event, file, offset, length);
  }

  shutdown(socket: UringSocket): void {
    this.#assertOpen();
    this.#sender.shutdown(socket);
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    this.#assertOpen();
    this.#ending.cancel(socket, event);
  }

  close(socket: UringSocket, reset = false): void {
    this.#assertOpen();
    this.#ending.close(socket, reset);
  }

  post(key: unknown, bytes: number): void {
    this.#assertOpen();
    this.#queuePost(key, bytes, null);
    this.#notifier.nudge();
  }

  share(): PortToken {
    this.#assertOpen();
    return this.#posts.token(this.backend);
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    this.#assertOpen();
    const ring = this.#ring;
    this.#posts.served();
    this.#connector.retry();
    // At most half of the batch is for what did not come from the kernel, so that neither starves the other.
    let n = this.#takeQueued(batch, 0, (batch.length + 1) >> 1);
    let wait = n > 0 ? 0 : timeout;
    let rounds = 0;
    do {
      this.#receiver.feed();
      this.#bufferRing.publish();
      if (ring.cqHead !== ring.cqTail()) wait = 0;
      if (wait !== 0)
        wait = this.#loopHost === null ? Math.min(wait < 0 ? SLICE : wait, SLICE) : this.#loopHost.prepare(wait);
      if (wait !== 0 || ring.unsubmitted > 0 || ring.needsEnter) ring.enter(wait);
      wait = 0;
      n = this.#harvest(batch, n);
      n = this.#takeQueued(batch, n, batch.length);
      // A completion without a packet may have armed its operation again. That goes to the kernel before we say "none".
    } while (n === 0 && (ring.unsubmitted > 0 || ring.cqHead !== ring.cqTail()) && ++rounds < ROUNDS);
    if (n > 0) {
      this.stats.wakeUps++;
      this.stats.packets += n;
    }
    return n;
  }

  watch(ready: () => void): void {
    this.#assertOpen();
    const now = this.#engine.queue.length > 0 || this.#ring.unsubmitted > 0;
    this.#loopHost?.release();
    this.#notifier.watch(ready, now);
  }

  unwatch(): void {
    this.#assertOpen();
    this.#notifier.unwatch();
  }

  waitForLoop(): void {
    this.#assertOpen();
    this.#loopHost ??= new LoopHost(this.#ring);
  }

  destroy(): void {
    if (!this.#open) return;
    this.#loopHost = null;
    this.#posts.stop();
    this.#notifier.unwatch();
    const drained = this.#drain();
    this.#open = false;
    this.#ring.close();
    this.#notifier.close();
    this.#posts.close();
    for (const fd of this.#threadEnd) discardHandle(fd);
    // What the kernel has not let go of must not be used again.
    if (drained) for (const block of this.#blocks) linuxBlocks.give(block);
  }

  /** Closes every socket and discards packets until nothing is in flight. False when the kernel did not follow. */
  #drain(): boolean {
    const batch = createBatch(64);
    for (let round = 0; this.stats.sockets > 0 && round < DRAIN_ROUNDS; round++) {
      for (const socket of this.#engine.sockets) this.close(socket);
      for (let n = this.dequeue(batch, 100); n > 0; n = this.dequeue(batch, 0)) {
        for (const packet of batch.slice(0, n)) this.#discard(packet);
      }
    }
    return this.stats.sockets === 0;
  }

  #discard(packet: CompletionPacket): void {
    if (packet.buffer >= 0) this.release(packet.buffer);
    const handle = detachedHandle(packet);
    if (handle >= 0) discardHandle(handle);
  }

  #takeQueued(batch: readonly CompletionPacket[], from: number, to: number): number {
    const { queue } = this.#engine;
    let n = from;
    while (n < to && queue.length > 0) {
      const packet = batch[n++]!;
      const origin = queue.shift(packet);
      if (origin === this.#posts) this.#posts.dequeued(packet);
      else if (origin !== null) this.#engine.finish(origin as UringSocket, packet.event);
      const handle = detachedHandle(packet);
      if (handle >= 0) disown(Owned.Handle, handle);
    }
    return n;
  }

  #harvest(batch: readonly CompletionPacket[], from: number): number {
    const ring = this.#ring;
    const { cqes } = ring;
    const tail = ring.cqTail();
    let head = ring.cqHead;
    let n = from;
    while (head !== tail && n < batch.length) {
      const at = ring.cqe(head);
      head = (head + 1) >>> 0;
      if (this.#complete(cqes[at]!, cqes[at + 1]! >>> 0, cqes[at + 2]!, cqes[at + 3]!, batch[n]!)) n++;
    }
    ring.advance(head);
    return n;
  }

  /** Turns a completion into a packet. False when there is none to be had from it. */
  #complete(low: number, tag: number, result: number, flags: number, packet: CompletionPacket): boolean {
    const operation = low >>> 24;
    if (operation > Operation.Post) {
      this.#completeOwn(operation, low, tag, result, flags);
      return false;
    }
    const socket = this.#engine.find(low);
    if (socket !== null) {
      switch (operation) {
        case Operation.Receive:
          if (socket.receiving === null || socket.receiving.tag !== tag) break;
          return this.#receiver.complete(socket, socket.receiving, result, flags, packet);
        case Operation.Send:
          if (socket.datagrams !== null) {
            if (this.#datagrams.sent(socket, tag, result, packet)) return true;
            break;
          }
          if (socket.sending === null || socket.sending.tag !== tag) break;
          if (socket.file !== null) return this.#files.complete(socket, socket.sending, result, packet);
          return this.#sender.complete(socket, socket.sending, result, packet);
        case Operation.Accept:
          return this.#acceptor.complete(socket, result, flags, packet);
        case Operation.Connect:
          if (socket.connecting === null || socket.connecting.tag !== tag) break;
          return this.#connector.complete(socket, socket.connecting, result, packet);
        case Operation.Shutdown:
          fill(packet, operation, socket.key, null, socket, 0, resultError('shut down', 'shutdown', result));
          this.#engine.finish(socket, null);
          return true;
        case Operation.Close:
          fill(packet, Operation.Close, socket.key, null, socket, 0, resultError('close', 'close', result));
          strike(socket.record);
          this.#engine.removeSocket(socket);
          return true;
      }
    }
    this.#drop(operation, flags);
    return false;
  }

  /** The completion of an operation of the port's own. */
  #completeOwn(operation: number, low: number, tag: number, result: number, flags: number): void {
    if (operation === WAKE) this.#takePosted(flags);
    else if (operation === LOOP) this.#loopHost?.fired();
    else if (operation === ROOM) this.#room.collect();
    else if (operation === CANCEL && result === -ENOENT) this.#ending.missed(low, tag);
  }

  readonly #resumeSend = (socket: UringSocket) => (socket.file === null ? this.#sender : this.#files).resume(socket);

  /** A late completion: its socket or its event serves another by now. Its buffer goes back. */
  #drop(operation: number, flags: number): void {
    this.stats.dropped++;
    if (operation === Operation.Receive && (flags & abi.CQE_FLAG.BUFFER) !== 0) {
      this.#buffers.take(flags >>> 16, 0);
      this.stats.buffersOut++;
      this.#receiver.release(flags >>> 16);
    }
  }

  #takePosted(flags: number): void {
    this.#posts.drain();
    if ((flags & abi.CQE_FLAG.MORE) === 0) this.#pollPosts();
  }

  /** Has the ring tell of posts, by WAKE completions, until one comes without CQE_FLAG.MORE. */
  #pollPosts(): void {
    const { descriptor } = this.#posts;
    this.#ring.sqe(abi.OP.POLL_ADD, 0, 0, descriptor, 0, 0, 0, 0, abi.POLL_ADD_MULTI, abi.POLLIN, WAKE << 24, 0, 0);
  }

  #queuePost(key: unknown, bytes: number, origin: object | null): void {
    const packet = this.#engine.queue.push(origin);
    packet.operation = Operation.Post;
    packet.key = key;
    packet.bytes = bytes;
  }

  #assertOpen(): void {
    if (!this.#open) throw new IocpError('use the port', 'it is closed', 'EBADF', 'port');
  }
}
