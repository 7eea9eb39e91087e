// The common part of the drivers without a kernel queue: the portable one and the simulation. All completions are made in
// callbacks, so all packets wait in the port's queue, and dequeue() never blocks.

import type { Driver } from '../contract/driver.js';
import { IocpError } from '../contract/errors.js';
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
import type { NativeBlock } from '../native/memory.js';
import { Inbox } from './inbox.js';
import type { LoopSocket } from './loop-socket.js';
import type { Port } from './port.js';
import { FreeList } from './receive-buffers.js';

export abstract class LoopDriver implements Driver<LoopSocket> {
  readonly port: Port<LoopSocket>;
  /** Why dequeue() cannot wait, for the error's message. */
  protected abstract readonly whyNoWait: string;
  /** The port is being destroyed, or is closed. */
  protected stopped = false;
  readonly #free: FreeList;
  /** Sockets with bytes and no receive buffer. The first one has waited longest. */
  readonly #starving = new Set<LoopSocket>();
  /** Posts of other threads. It is made by the first share(). */
  #inbox: Inbox | null = null;
  #ready: (() => void) | null = null;
  /** The scheduled call of the watcher. */
  #call: unknown = null;

  constructor(port: Port<LoopSocket>) {
    this.port = port;
    this.#free = new FreeList(port.buffers.count);
  }

  /** Has `run` called soon, by the event loop or by the clock. Gives a handle for unschedule(). */
  protected abstract schedule(run: () => void): unknown;
  protected abstract unschedule(call: unknown): void;

  abstract listen(local: Endpoint | PipeEndpoint, options: ListenOptions): Promise<LoopSocket>;
  abstract bind(local: Endpoint, options: DatagramOptions): Promise<LoopSocket>;
  abstract adopt(handle: number): LoopSocket;
  abstract discard(handle: number): void;
  abstract connection(): LoopSocket;
  abstract destroy(): void;
  abstract abandon(block: NativeBlock): void;

  accept(listener: LoopSocket, event: Overlapped): void {
    listener.accept(event);
  }

  connect(socket: LoopSocket, event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void {
    socket.connect(event, remote, options);
  }

  receive(socket: LoopSocket, event: Overlapped): void {
    socket.receive(event);
  }

  send(socket: LoopSocket, event: Overlapped, pieces: GatherList): void {
    socket.send(event, pieces);
  }

  sendTo(socket: LoopSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    socket.sendTo(event, pieces, to);
  }

  sendFile(socket: LoopSocket, event: Overlapped, file: number, offset: number, length: number): void {
    socket.sendFile(event, file, offset, length);
  }

  shutdown(socket: LoopSocket): void {
    socket.shutdown();
  }

  cancel(socket: LoopSocket, event: Overlapped): void {
    socket.cancel(event);
  }

  close(socket: LoopSocket, reset: boolean): void {
    this.forget(socket);
    socket.close(reset);
  }

  closeHandle(socket: LoopSocket): void {
    // destroy() does not wait for the event loop. abandon() keeps the memory that the system may still read.
    if (socket.handleClosed || !(socket.gone || this.stopped)) return;
    socket.handleClosed = true;
    this.port.closed(socket);
  }

  /** One buffer serves one socket. When that needs more, it waits again, at the end. */
  provide(buffer: number): void {
    this.#free.push(buffer);
    for (const socket of this.#starving) {
      this.#starving.delete(socket);
      socket.deliver();
      return;
    }
  }

  /** A free receive buffer, or -1: then the socket's deliver() is called when one is free. */
  takeBuffer(socket: LoopSocket): number {
    const buffer = this.#free.pop();
    if (buffer === -1) {
      this.port.stats.starved++;
      this.#starving.add(socket);
    }
    return buffer;
  }

  /** The socket does not wait for a receive buffer any more. */
  forget(socket: LoopSocket): void {
    this.#starving.delete(socket);
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    if (timeout !== 0) throw this.#cannotWait('dequeue');
    while (this.#inbox?.shift(this.#posted));
    return this.port.take(batch, 0, this.limit(batch.length));
  }

  /** The most packets that this dequeue() brings, if the batch has room for `length`. */
  protected limit(length: number): number {
    return length;
  }

  /** Has the watcher called if there is something to dequeue. If not, has the next post of another thread wake the port. */
  wake(): void {
    if (this.#ready === null || this.#call !== null) return;
    if (this.port.packets.length > 0 || (this.#inbox?.length ?? 0) > 0) this.callWatcher();
    else this.#inbox?.wait(this.#wake);
  }

  /** Has the watcher called. */
  protected callWatcher(): void {
    this.#call ??= this.schedule(this.#run);
  }

  watch(ready: () => void): void {
    this.#ready = ready;
    this.wake();
  }

  unwatch(): void {
    this.#ready = null;
    if (this.#call !== null) this.unschedule(this.#call);
    this.#call = null;
  }

  /** The loop does this port's own work. */
  readonly loopDue = true;

  waitForLoop(): void {
    throw this.#cannotWait('waitForLoop');
  }

  share(): PortToken {
    if (this.#inbox === null) {
      this.#inbox = new Inbox();
      this.wake();
    }
    return { backend: 'portable', handle: -1, queue: this.#inbox.memory };
  }

  stop(): void {
    this.unwatch();
    this.stopped = true;
    this.#starving.clear();
    this.#inbox?.close();
  }

  drain(): boolean {
    const { port } = this;
    // A listener that closes may bring connections.
    for (let sockets = port.sockets.all(); sockets.length > 0; sockets = port.sockets.all()) {
      for (const socket of sockets) {
        port.close(socket);
        socket.abandon();
        port.proceed(socket);
      }
      port.discardQueue();
    }
    return true;
  }

  readonly #posted = (key: number, bytes: number): void => this.port.queuePost(key, bytes, null);

  readonly #wake = (): void => this.wake();

  readonly #run = (): void => {
    const ready = this.#ready;
    this.unwatch();
    ready?.();
  };

  #cannotWait(call: string): IocpError {
    return new IocpError('wait for packets', this.whyNoWait, 'ENOTSUP', call);
  }
}
