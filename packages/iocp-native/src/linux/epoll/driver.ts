// The driver over one epoll(7): a readiness kernel makes completions. A start makes the system call at once, or waits until the
// socket is ready; dequeue() takes events, and makes the calls that wait for them. Only sends may wait for the next dequeue(), which makes
// many in one call. So the kernel never has an operation, and to cancel one is bookkeeping.

import type { Driver } from '../../contract/driver.js';
import {
  type CompletionPacket,
  createBatch,
  type DatagramOptions,
  type Endpoint,
  type GatherList,
  type ListenOptions,
  type Overlapped,
  type PipeEndpoint,
  type PortToken,
  type SocketOptions,
} from '../../contract/port.js';
import { shorter } from '../../native/event-loop.js';
import { disown, Owned } from '../../native/ledger.js';
import { DatagramState } from '../../port/datagrams.js';
import { ownPosted } from '../../port/handed-posts.js';
import type { Port } from '../../port/port.js';
import { Kind } from '../../port/socket.js';
import { createDatagramSocket } from '../datagram-sockets.js';
import { linuxError } from '../errors.js';
import { AF_INET, AF_INET6, EPOLL, SO_DOMAIN, SOCK_NONBLOCK, SOL_SOCKET } from '../layout.js';
import { check, close } from '../libc.js';
import { PostPipe } from '../post-pipe.js';
import { getOption } from '../socket-options.js';
import { createListener, discardHandle, setReset } from '../sockets.js';
import { Acceptor } from './acceptor.js';
import { Connector } from './connector.js';
import { Datagrams, MESSAGES_SIZE } from './datagrams.js';
import { DATA_WORD, Epoll, EVENT_WORDS, EVENTS_SIZE, NOT_A_SOCKET } from './epoll.js';
import { FreeBuffers } from './free-buffers.js';
import { Loop } from './loop.js';
import { Receiver } from './receiver.js';
import { LEAST_SENDS, SEND_BATCH_SIZE } from './send-batch.js';
import { Sender } from './sender.js';
import { EpollSocket, ListenerState, Sending } from './socket.js';
import { Watching } from './watching.js';

/** Milliseconds that dequeue() stays in the kernel, where nothing of the event loop ends it: worker.terminate() waits. */
const SLICE = 1000;
/** The second word of events of posts. Those of the event loop have 0. */
const POSTS = 1;
const { IN, OUT, PRI, RDHUP, HUP, ERR, ET } = EPOLL;

export class EpollDriver implements Driver<EpollSocket> {
  readonly #port: Port<EpollSocket>;
  readonly #epoll: Epoll;
  readonly #loop: Loop;
  readonly #posts: PostPipe;
  readonly #watching: Watching;
  readonly #free: FreeBuffers;
  readonly #acceptor: Acceptor;
  readonly #connector: Connector;
  readonly #receiver: Receiver;
  readonly #sender: Sender;
  readonly #datagrams: Datagrams;
  /** The last dequeue() had packets without asking the kernel: the next one asks it. */
  #skipped = false;
  loopDue = true;

  /** Throws an IocpError; nothing is left open then. */
  constructor(port: Port<EpollSocket>) {
    this.#port = port;
    // Memory first: when there is none, no descriptor is open yet.
    const [events, offset, messages, sends] = [EVENTS_SIZE, 8, MESSAGES_SIZE, SEND_BATCH_SIZE].map((size) =>
      port.allocate(size, true),
    );
    this.#epoll = new Epoll(events!);
    const wake = () => this.wake();
    this.#loop = new Loop(this.#epoll);
    const watching = new Watching(this.#epoll, wake);
    this.#watching = watching;
    this.#free = new FreeBuffers(port.buffers.count, port.stats, watching);
    this.#acceptor = new Acceptor(port, watching);
    this.#connector = new Connector(port, watching);
    this.#receiver = new Receiver(port, watching, this.#free);
    this.#sender = new Sender(port, watching, offset!, sends!, wake);
    this.#datagrams = new Datagrams(port, watching, this.#free, messages!);
    try {
      this.#posts = new PostPipe(port);
    } catch (error) {
      this.#epoll.close();
      throw error;
    }
    const failed = this.#epoll.add(this.#posts.descriptor, IN | ET, NOT_A_SOCKET, POSTS);
    if (failed !== 0) {
      this.destroy();
      throw linuxError('open a port', 'epoll_ctl', failed);
    }
  }

  listen(local: Endpoint | PipeEndpoint, options: ListenOptions): EpollSocket {
    const handle = createListener(local, options, SOCK_NONBLOCK);
    const state = new ListenerState(options.detached ?? false, local);
    return this.#port.add(new EpollSocket(this.#port, Kind.Listener, handle, false, true, state));
  }

  bind(local: Endpoint, options: DatagramOptions): EpollSocket {
    const handle = createDatagramSocket(local, options, 0);
    const state = new DatagramState(local.family, options.remote !== undefined);
    return this.#port.add(new EpollSocket(this.#port, Kind.Datagrams, handle, false, false, null, state));
  }

  adopt(handle: number): EpollSocket {
    ownPosted(handle);
    const domain = getOption(handle, SOL_SOCKET, SO_DOMAIN);
    const overIp = domain === AF_INET || domain === AF_INET6;
    return this.#port.add(new EpollSocket(this.#port, Kind.Connection, handle, overIp, false));
  }

  discard(handle: number): void {
    discardHandle(handle);
  }

  connection(): EpollSocket {
    return this.#port.add(new EpollSocket(this.#port, Kind.Connection, -1, true, true));
  }

  accept(listener: EpollSocket, event: Overlapped): void {
    this.#acceptor.accept(listener, event);
  }

  connect(socket: EpollSocket, event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void {
    this.#connector.connect(socket, event, remote, options);
  }

  receive(socket: EpollSocket, event: Overlapped): void {
    this.#receiver.receive(socket, event);
  }

  send(socket: EpollSocket, event: Overlapped, pieces: GatherList): void {
    this.#sender.send(socket, event, pieces);
  }

  sendDirect(socket: EpollSocket, event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number {
    return this.#sender.sendDirect(socket, event, pieces, arrays);
  }

  sendNow(socket: EpollSocket, array: Uint8Array): number {
    return this.#sender.sendNow(socket, array);
  }

  sendTo(socket: EpollSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void {
    this.#datagrams.send(socket, event, pieces, to);
  }

  sendFile(socket: EpollSocket, _event: Overlapped, file: number, offset: number, length: number): void {
    this.#sender.sendFile(socket, file, offset, length);
  }

  shutdown(socket: EpollSocket): void {
    this.#sender.shutdown(socket);
  }

  cancel(socket: EpollSocket, event: Overlapped): void {
    if (socket.listener !== null) this.#acceptor.cancel(socket, event);
    else if (event === socket.receiving) this.#receiver.cancel(socket, event);
    else if (event === socket.connecting) this.#connector.cancel(socket, event);
    else if (event === socket.sending) this.#sender.cancel(socket);
    else if (socket.blocked !== null) this.#datagrams.cancel(socket, event);
  }

  close(socket: EpollSocket, reset: boolean): void {
    if (reset && socket.handle >= 0) setReset(socket.handle);
    if (socket.connecting !== null) this.#connector.cancel(socket, socket.connecting);
    if (socket.receiving !== null) this.#receiver.cancel(socket, socket.receiving);
    if (socket.sending !== null) this.#sender.cancel(socket);
    if (socket.blocked !== null) this.#datagrams.close(socket);
    if (socket.listener !== null) {
      socket.listener.file?.remove();
      this.#acceptor.close(socket);
    }
  }

  closeHandle(socket: EpollSocket): void {
    const { handle } = socket;
    if (handle >= 0) {
      disown(Owned.Handle, handle);
      check(close(handle), 'close a socket', 'close');
    }
    this.#port.closed(socket);
  }

  provide(buffer: number): void {
    this.#free.give(buffer);
  }

  dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    this.#sender.flush();
    const count = this.#dequeue(batch, timeout);
    // Its handlers are about to send.
    this.#sender.defers = count >= LEAST_SENDS;
    return count;
  }

  #dequeue(batch: readonly CompletionPacket[], timeout: number): number {
    const port = this.#port;
    this.#posts.served();
    this.#connector.retry();
    // At most half of the batch is for packets that did not come from the kernel, so that neither starves the other.
    const half = (batch.length + 1) >> 1;
    let n = port.take(batch, 0, half);
    n = this.#sender.take(batch, n, this.#skipped ? half : batch.length);
    if (this.#watching.some) n = this.#serveListed(batch, n);
    // A request is mostly answered before the next one comes: where a dequeue() brought the packets of sends, the kernel is
    // asked by the next one, which may wait.
    this.#skipped = n > 0 && !this.#skipped;
    this.loopDue = !this.#skipped;
    if (this.#skipped) return port.take(batch, n, batch.length);
    if (n < batch.length) {
      const longest = this.#limit(timeout);
      const wait = n > 0 || this.#watching.some ? 0 : longest;
      n = this.#serveEvents(batch, n, this.#epoll.wait(batch.length - n, wait));
    }
    n = this.#sender.take(batch, n, batch.length);
    return port.take(batch, n, batch.length);
  }

  wake(): void {
    this.#loop.wake();
  }

  watch(ready: () => void): void {
    this.#sender.flush();
    this.#sender.defers = false;
    this.#loop.watch(ready, this.#port.packets.length > 0 || this.#sender.some || this.#watching.some);
  }

  unwatch(): void {
    this.#loop.unwatch();
  }

  waitForLoop(): void {
    this.#loop.host();
  }

  share(): PortToken {
    return this.#posts.token(this.#port.backend);
  }

  stop(): void {
    this.#posts.stop();
    this.#loop.unwatch();
  }

  drain(): boolean {
    const batch = createBatch(64);
    while (this.#port.stats.sockets > 0) {
      for (const socket of this.#port.sockets.all()) this.#port.close(socket);
      for (let n = this.dequeue(batch, 0); n > 0; n = this.dequeue(batch, 0)) {
        for (let i = 0; i < n; i++) this.#port.discard(batch[i]!);
      }
    }
    return true;
  }

  destroy(): void {
    this.#loop.close();
    this.#sender.close();
    this.#posts.close();
    this.#epoll.close();
  }

  /** Nothing is with the kernel. */
  abandon(): void {}

  /** How long a wait of up to `timeout` milliseconds may be. Looks whether the event loop is due. */
  #limit(timeout: number): number {
    if (timeout === 0) return 0;
    if (!this.#loop.hosted) return Math.ceil(shorter(timeout, SLICE));
    const rest = this.#loop.prepare();
    this.loopDue = rest === 0;
    return Math.ceil(shorter(timeout, rest));
  }

  #serveListed(batch: readonly CompletionPacket[], from: number): number {
    let n = from;
    for (const socket of this.#watching.take()) {
      socket.listed = false;
      if (socket.sendState === Sending.Yielded) this.#sender.resume(socket);
      n = this.#read(socket, batch, n);
    }
    return n;
  }

  #serveEvents(batch: readonly CompletionPacket[], from: number, count: number): number {
    const { words } = this.#epoll;
    const { sockets } = this.#port;
    let n = from;
    for (let i = 0, at = 0; i < count; i++, at += EVENT_WORDS) {
      const low = words[at + DATA_WORD]!;
      const high = words[at + DATA_WORD + 1]!;
      if (low === NOT_A_SOCKET) {
        if (high === POSTS) this.#posts.drain();
        else this.loopDue = true;
        continue;
      }
      // It may have been closed since the events were taken.
      const socket = sockets.find(low, high);
      if (socket !== null) n = this.#serve(socket, words[at]!, batch, n);
    }
    return n;
  }

  #serve(socket: EpollSocket, flags: number, batch: readonly CompletionPacket[], from: number): number {
    let n = from;
    if ((flags & (IN | PRI | RDHUP | HUP | ERR)) !== 0) {
      socket.readable = true;
      if ((flags & (PRI | RDHUP | HUP | ERR)) !== 0) socket.pressing = true;
      n = this.#read(socket, batch, n);
    }
    if ((flags & (OUT | HUP | ERR)) !== 0) {
      if (socket.sendState === Sending.Blocked) this.#sender.resume(socket);
      else if (socket.connects) this.#connector.complete(socket);
      else if (socket.blocked !== null && socket.blocked.length > 0) this.#datagrams.resume(socket);
      else if (flags === OUT) this.#watching.noMoreWrites(socket);
    }
    return n;
  }

  /** Reads or accepts where an operation waits and the socket is ready; in the next dequeue() when the batch is full. */
  #read(socket: EpollSocket, batch: readonly CompletionPacket[], n: number): number {
    if (!socket.readable) return n;
    const waits = socket.streaming ? !socket.starved : socket.listener !== null && socket.listener.waiting.length > 0;
    if (!waits) return n;
    if (n === batch.length) this.#watching.list(socket);
    else if (socket.listener !== null) return this.#acceptor.take(socket, batch, n);
    else if (socket.blocked !== null) return this.#datagrams.read(socket, batch, n);
    else return this.#receiver.read(socket, batch, n);
    return n;
  }
}
