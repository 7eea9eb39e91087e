// The driver over one io_uring. Starting an operation writes a submission entry; dequeue() hands them all to the kernel with one
// system call, and turns completions into packets.

import type { Driver } from '../../contract/driver.js';
import { isPipe } from '../../contract/endpoint.js';
import {
  type CompletionPacket,
  createBatch,
  type DatagramOptions,
  type Endpoint,
  type GatherList,
  type ListenOptions,
  Operation,
  type Overlapped,
  type PipeEndpoint,
  type PortToken,
  type SocketOptions,
} from '../../contract/port.js';
import { shorter } from '../../native/event-loop.js';
import { closing, strike } from '../../native/ledger.js';
import { ownPosted } from '../../port/handed-posts.js';
import type { Port } from '../../port/port.js';
import { Kind } from '../../port/socket.js';
import { SocketFile } from '../../port/socket-file.js';
import { ENOENT, resultError } from '../errors.js';
import { BUF, CQE_FLAG, POLLIN, SHUT_WR } from '../layout.js';
import { fill } from '../packets.js';
import { PostPipe } from '../post-pipe.js';
import { createListener, discardHandle, setReset } from '../sockets.js';
import { Acceptor } from './acceptor.js';
import { BufferRing } from './buffer-ring.js';
import {
  CANCEL,
  cancelOperation,
  indexOf,
  LOOP,
  operationOf,
  setOwner,
  setOwnOperation,
  WAKE,
  WRITABLE,
} from './completions.js';
import { Connector } from './connector.js';
import { Datagrams } from './datagrams.js';
import { FileSender } from './file-sender.js';
import { LoopWaiter } from './loop-waiter.js';
import { Notifier } from './notifier.js';
import { Receiver } from './receiver.js';
import type { Ring } from './ring.js';
import { Sender } from './sender.js';
import { AcceptState, UringSocket } from './socket.js';
import { prepClose, prepPollAddMulti, prepShutdown } from './submissions.js';
import { CancelAtThreadEnd } from './thread-end.js';
import { Writability } from './writability.js';

/** Milliseconds that dequeue() stays in the kernel where the event loop cannot end it: worker.terminate() waits so long. */
const SLICE = 1000;
/** How often dequeue() goes on when completions have given no packet yet: a large send or file may do so for long. */
const ROUNDS = 8;
/** drain() waits this often, 100 ms each, until the kernel has ended all operations in flight. */
const DRAIN_ROUNDS = 50;

export class UringDriver implements Driver<UringSocket> {
  readonly #port: Port<UringSocket>;
  readonly #ring: Ring;
  readonly #bufferRing: BufferRing;
  readonly #notifier: Notifier;
  readonly #posts: PostPipe;
  readonly #acceptor: Acceptor;
  readonly #connector: Connector;
  readonly #receiver: Receiver;
  readonly #sender: Sender;
  readonly #datagrams: Datagrams;
  readonly #files: FileSender;
  readonly #writability: Writability;
  /** Parts with descriptors of their own, to be closed after the ring. */
  readonly #parts: { close(): void }[] = [];
  #loopWaiter: LoopWaiter | null = null;
  loopDue = true;

  /** Throws an IocpError: nothing is left open then but the ring. */
  constructor(port: Port<UringSocket>, ring: Ring) {
    this.#port = port;
    this.#ring = ring;
    const part = <T extends { close(): void }>(opened: T): T => {
      this.#parts.push(opened);
      return opened;
    };
    try {
      const entries = port.allocate(port.buffers.count * BUF.size, true);
      this.#bufferRing = new BufferRing(ring.fd, entries, port.buffers);
      this.#notifier = part(new Notifier(ring));
      this.#posts = part(new PostPipe(port));
      this.#writability = part(new Writability(ring, port.sockets, this.#resumeSend));
      part(new CancelAtThreadEnd(ring));
      this.#pollPosts();
      ring.enter(0);
    } catch (error) {
      for (const opened of this.#parts) opened.close();
      throw error;
    }
    this.#acceptor = new Acceptor(port, ring);
    this.#connector = new Connector(port, ring);
    this.#sender = new Sender(port, ring, this.#writability);
    this.#files = new FileSender(port, ring, this.#writability);
    this.#datagrams = new Datagrams(port, ring);
    this.#receiver = new Receiver(port, ring, this.#bufferRing, this.#datagrams);
  }

  listen(local: Endpoint | PipeEndpoint, options: ListenOptions): UringSocket {
    const handle = createListener(local, options, 0);
    const file = isPipe(local) ? SocketFile.of(local.path) : null;
    const accepting = new AcceptState(options.detached ?? false, file);
    return this.#port.add(new UringSocket(this.#port, Kind.Listener, handle, null, accepting));
  }

  bind(local: Endpoint, options: DatagramOptions): UringSocket {
    return this.#datagrams.open(local, options);
  }

  adopt(handle: number): UringSocket {
    ownPosted(handle);
    return this.#port.add(new UringSocket(this.#port, Kind.Connection, handle));
  }

  discard(handle: number): void {
    discardHandle(handle);
  }

  connection(): UringSocket {
    return this.#port.add(new UringSocket(this.#port, Kind.Connection, -1));
  }

  // Outside of the pump no dequeue() follows that would submit the operations that these start: wake() has the watcher call it.

  accept(listener: UringSocket, event: Overlapped): void {
    this.#acceptor.accept(listener, event);
    this.wake();
  }

  connect(socket: UringSocket, event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void {
    this.#connector.connect(socket, event, remote, options);
    this.wake();
  }

  receive(socket: UringSocket, event: Overlapped): void {
    this.#receiver.receive(socket, event);
    this.wake();
  }

  send(socket: UringSocket, event: Overlapped, pieces: GatherList): void {
    this.#sender.send(socket, event, pieces);
    this.wake();
  }

  sendDirect(socket: UringSocket, event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number {
    const taken = this.#sender.sendDirect(socket, event, pieces, arrays);
    this.wake();
    return taken;
  }

  sendNow(socket: UringSocket, array: Uint8Array): number {
    return this.#sender.sendNow(socket, array);
  }

  sendTo(socket: UringSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    this.#datagrams.send(socket, event, pieces, to);
    this.wake();
  }

  sendFile(socket: UringSocket, _event: Overlapped, file: number, offset: number, length: number): void {
    this.#files.send(socket, file, offset, length);
    this.wake();
  }

  shutdown(socket: UringSocket): void {
    setOwner(this.#ring, prepShutdown(this.#ring, socket.handle, SHUT_WR), socket, Operation.Shutdown, 0);
    this.wake();
  }

  cancel(socket: UringSocket, event: Overlapped): void {
    if (socket.accepting !== null) this.#acceptor.cancel(socket, event);
    else if (event === socket.receiving) this.#receiver.cancel(socket, event);
    else if (event === socket.connecting) this.#connector.cancel(socket, event);
    else if (event === socket.sending) this.#cancelSend(socket, event);
    else if (socket.datagrams !== null) this.#datagrams.cancel(socket, event);
    this.wake();
  }

  close(socket: UringSocket, reset: boolean): void {
    const { connecting, receiving, sending } = socket;
    if (reset && socket.handle >= 0) setReset(socket.handle);
    if (connecting !== null) this.#connector.cancel(socket, connecting);
    if (receiving !== null) this.#receiver.cancel(socket, receiving);
    if (sending !== null) this.#cancelSend(socket, sending);
    if (socket.datagrams !== null) this.#datagrams.close(socket);
    if (socket.accepting !== null) this.#acceptor.close(socket);
    this.wake();
  }

  closeHandle(socket: UringSocket): void {
    if (socket.closeArmed || socket.accepting?.armed) return;
    socket.closeArmed = true;
    const { handle } = socket;
    if (handle < 0) {
      this.#port.closed(socket);
      return;
    }
    socket.closeRecord = closing(handle);
    setOwner(this.#ring, prepClose(this.#ring, handle), socket, Operation.Close, handle);
    this.wake();
  }

  provide(buffer: number): void {
    this.#bufferRing.provide(buffer);
    if (this.#receiver.starving) this.wake();
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    const ring = this.#ring;
    const port = this.#port;
    this.#posts.served();
    this.#connector.retry();
    // At most half of the batch is for packets of the queue, so that neither they nor the kernel's starve.
    let n = port.take(batch, 0, (batch.length + 1) >> 1);
    let wait = this.#limit(timeout);
    if (n > 0) wait = 0;
    let rounds = 0;
    do {
      this.#receiver.rearmStarved();
      this.#bufferRing.publish();
      if (ring.cqHead !== ring.cqTail()) wait = 0;
      if (wait !== 0 || ring.unsubmitted > 0 || ring.needsEnter) ring.enter(wait);
      wait = 0;
      n = this.#harvest(batch, n);
      n = port.take(batch, n, batch.length);
      // A completion without a packet may have armed its operation again. The kernel must have that before dequeue() gives 0.
    } while (n === 0 && (ring.unsubmitted > 0 || ring.cqHead !== ring.cqTail()) && ++rounds < ROUNDS);
    return n;
  }

  wake(): void {
    this.#notifier.wake();
  }

  watch(ready: () => void): void {
    const now = this.#port.packets.length > 0 || this.#ring.unsubmitted > 0;
    this.#loopWaiter?.release();
    this.#notifier.watch(ready, now);
  }

  unwatch(): void {
    this.#notifier.unwatch();
  }

  waitForLoop(): void {
    this.#loopWaiter ??= new LoopWaiter(this.#ring);
  }

  share(): PortToken {
    return this.#posts.token('io_uring');
  }

  stop(): void {
    this.#loopWaiter = null;
    this.#posts.stop();
    this.#notifier.unwatch();
  }

  drain(): boolean {
    const { sockets, stats } = this.#port;
    const batch = createBatch(64);
    for (let round = 0; stats.sockets > 0 && round < DRAIN_ROUNDS; round++) {
      for (const socket of sockets.all()) this.#port.close(socket);
      for (let n = this.dequeue(batch, 100); n > 0; n = this.dequeue(batch, 0)) {
        for (const packet of batch.slice(0, n)) this.#port.discard(packet);
      }
    }
    return stats.sockets === 0;
  }

  destroy(): void {
    this.#ring.close();
    for (const part of this.#parts) part.close();
  }

  /** The thread's memory is unmapped by its reaper, or with the process. */
  abandon(): void {}

  #cancelSend(socket: UringSocket, event: Overlapped): void {
    if (socket.file !== null) this.#files.cancel(socket, event);
    else this.#sender.cancel(socket, event);
  }

  /** How long a wait of up to `timeout` milliseconds may be. Looks whether the event loop is due. */
  #limit(timeout: number): number {
    const loop = this.#loopWaiter;
    this.loopDue = true;
    if (timeout === 0) return 0;
    if (loop === null) return shorter(timeout, SLICE);
    const rest = loop.prepare();
    this.loopDue = rest === 0;
    return shorter(timeout, rest);
  }

  readonly #resumeSend = (socket: UringSocket): void => {
    if (socket.file !== null) this.#files.resume(socket);
    else this.#sender.resume(socket);
  };

  /** Turns completions into packets. Gives the place in the batch after the last. */
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

  /** Turns a completion into a packet. False when it gives none. */
  #complete(low: number, tag: number, result: number, flags: number, packet: CompletionPacket): boolean {
    const operation = operationOf(low);
    if (operation > Operation.Post) {
      this.#completeOwn(operation, low, tag, result, flags);
      return false;
    }
    const socket = this.#port.sockets.at(indexOf(low));
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
          this.#port.finish(socket, null);
          return true;
        case Operation.Close:
          fill(packet, operation, socket.key, null, socket, 0, resultError('close', 'close', result));
          strike(socket.closeRecord);
          this.#port.remove(socket);
          return true;
      }
    }
    this.#drop(operation, flags);
    return false;
  }

  /** The completion of an operation of the driver's own. */
  #completeOwn(operation: number, low: number, tag: number, result: number, flags: number): void {
    if (operation === WAKE) {
      this.#posts.drain();
      if ((flags & CQE_FLAG.MORE) === 0) this.#pollPosts();
    } else if (operation === LOOP) {
      this.loopDue = true;
      this.#loopWaiter?.fired();
    } else if (operation === WRITABLE) this.#writability.drain();
    else if (operation === CANCEL && result === -ENOENT) this.#cancelAgain(low, tag);
  }

  /** Has the ring tell of posts, by WAKE completions, until one comes without CQE_FLAG.MORE. */
  #pollPosts(): void {
    setOwnOperation(this.#ring, prepPollAddMulti(this.#ring, this.#posts.descriptor, POLLIN), WAKE);
  }

  /**
   * The kernel has not found an operation that it was to cancel. Mostly the operation has just completed; but the kernel does not
   * find one either that it is about to try again, which would then never end.
   */
  #cancelAgain(low: number, tag: number): void {
    const socket = this.#port.sockets.at(indexOf(low));
    const operation = socket && this.#canceledOperation(socket, tag);
    if (operation !== null) cancelOperation(this.#ring, socket!, operation, tag);
  }

  /** The operation with this tag, if it was cancelled and the kernel still has it; null otherwise. */
  #canceledOperation(socket: UringSocket, tag: number): Operation | null {
    const { accepting, receiving, connecting, datagrams } = socket;
    if (accepting !== null) return this.#acceptor.isCanceled(socket) ? Operation.Accept : null;
    if (receiving?.tag === tag && socket.receiveArmed && socket.receiveCanceled) return Operation.Receive;
    if (connecting?.tag === tag && socket.connectArmed) return Operation.Connect;
    return datagrams?.sends.has(tag | 0) ? Operation.Send : null;
  }

  /** A late completion: its socket's slot, or its event, serves another operation by now. Its buffer becomes free. */
  #drop(operation: number, flags: number): void {
    this.#port.stats.dropped++;
    if (operation === Operation.Receive && (flags & CQE_FLAG.BUFFER) !== 0) {
      this.#port.buffers.take(flags >>> 16, 0);
      this.#port.release(flags >>> 16);
    }
  }
}
