// The interfaces for a new kernel: a Backend, which says whether it can serve here and opens ports, and a Driver, which
// starts operations on one kernel queue and takes their completions out of it. Everything else of the contract (port.ts) is
// written once, in port/port.ts: the guards, memory, receive buffers, the count of operations in flight, the packet queue, the
// two phases of a close, statistics and destroy().
//
//   user -> Port (guards, counts) -> Driver (starts, cancels) -> kernel
//   user <- Port.dequeue() <- Driver.dequeue() <- kernel's completions, and Port's packet queue
//
// A driver keeps these rules:
//  1. A start never throws for an operating error, unless it is said below, and never calls back. One that ends at once goes to
//     the packet queue (`port.queue()`).
//  2. A driver ends each operation exactly once: by `port.queue()`, or by filling a packet of dequeue()'s batch and calling
//     `port.finish()`.
//  3. `socket.receiving`, `sending`, `connecting` and `pending` are the port's: it writes them when an operation starts and
//     when its last packet is dequeued. A driver only reads them, and keeps in its own fields the operations that the kernel has.
//  4. Nothing of a socket may be with the kernel when `port.closed(socket)` is called.

import type { OwnedRecord } from '../native/ledger.js';
import type { NativeBlock } from '../native/memory.js';
import type { Socket } from '../port/socket.js';
import type { GatherList } from './gather-list.js';
import type {
  BackendName,
  CompletionPacket,
  CompletionPort,
  DatagramOptions,
  Endpoint,
  ListenOptions,
  Overlapped,
  PipeEndpoint,
  PortOptions,
  PortPoster,
  PortToken,
  SocketOptions,
} from './port.js';

/** Whether a backend can serve here, and if not, why not. */
export type Availability =
  | {
      /** It can. */
      readonly available: true;
    }
  | {
      /** It cannot. */
      readonly available: false;
      /** Why not, for people. */
      readonly reason: string;
    };

/** Is given each post that was queued to a port and never dequeued. */
export type LeftOver = (key: number, bytes: number) => void;

/** A backend, as the selector sees it. Importing one never throws; asking it is cheap after the first time. */
export interface Backend {
  readonly name: BackendName;
  available(): Availability;
  /** Throws an IocpError when the kernel refuses; when it would always do so, available() says no from then on. */
  open(options: Required<PortOptions>): CompletionPort;
  openPoster(token: PortToken): PortPoster;
  closeHandle(handle: number): void;
  remoteEndpointOf(handle: number): Endpoint;
  /** Closes the queue of posts to a port whose thread has ended, and gives the posts that are left in it. */
  closeQueue(token: PortToken, left: LeftOver): void;
  /** Gives back to the system the resources in the ledger of a thread that has ended. Never throws. */
  reap(records: readonly OwnedRecord[], left: LeftOver): void;
  /** A thread that posted has ended: it may hold the lock of the queue of posts. */
  recoverPoster(token: PortToken, thread: number): void;
}

/** One kernel queue, and the operations on it. `S` is the driver's own kind of socket. */
export interface Driver<S extends Socket> {
  /**
   * Makes a listening socket and adds it (`port.add()`). Throws, or rejects with, an IocpError; nothing is left open then.
   */
  listen(local: Endpoint | PipeEndpoint, options: ListenOptions): S | Promise<S>;
  /** Makes a bound datagram socket and adds it. Fails as listen() does. */
  bind(local: Endpoint, options: DatagramOptions): S | Promise<S>;
  /** Adds a connection that another port's detached listener accepted. Closes the handle and throws when that fails. */
  adopt(handle: number): S;
  /** The port is closed, so adopt() cannot be had: closes the handle. */
  discard(handle: number): void;
  /** Adds a socket that has no handle yet: connect() makes that. */
  connection(): S;

  /** Starts an accept. Its packet has no event when a connection comes out while the listener closes (`port.begin()`). */
  accept(listener: S, event: Overlapped): void;
  /** Makes the handle and starts a connect. An IocpError that it throws becomes the operation's packet. */
  connect(socket: S, event: Overlapped, remote: Endpoint | PipeEndpoint, options: SocketOptions): void;
  receive(socket: S, event: Overlapped): void;
  send(socket: S, event: Overlapped, pieces: GatherList): void;
  /**
   * As CompletionPort.sendDirect(). The port has made the arrays; with the pieces they are MAX_GATHER at most. A driver whose kernel
   * reads memory after the start has no such method.
   */
  sendDirect?(socket: S, event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number;
  /** As CompletionPort.sendNow(). Is there where sendDirect() is. */
  sendNow?(socket: S, array: Uint8Array): number;
  sendTo(socket: S, event: Overlapped, pieces: GatherList, to: Endpoint | null): void;
  sendFile(socket: S, event: Overlapped, file: number, offset: number, length: number): void;
  shutdown(socket: S): void;
  /** The event is in flight on this socket, which is not closing. Its packet may be queued already: then does nothing. */
  cancel(socket: S, event: Overlapped): void;

  /** Phase one of a close: has every operation of the socket end. `socket.closing` is set. */
  close(socket: S, reset: boolean): void;
  /**
   * Phase two: no operation of the socket is pending. Closes the handle and calls `port.closed()`, at once or when the kernel
   * has closed it. Returns without effect while the kernel holds anything else of the socket, or when it was called before;
   * the driver then calls `port.proceed()` later.
   */
  closeHandle(socket: S): void;

  /** A receive buffer is free again. */
  provide(buffer: number): void;

  /**
   * Hands the started operations to the kernel, and fills `batch` with completions and with packets of the queue (`port.take()`),
   * oldest first. Waits as CompletionPort.dequeue() says. Returns how many packets it filled.
   */
  dequeue(batch: readonly CompletionPacket[], timeout: number): number;
  /** A packet was queued outside of dequeue(): has the watcher called, if there is one. */
  wake(): void;
  watch(ready: () => void): void;
  unwatch(): void;
  waitForLoop(): void;
  /** As CompletionPort.loopDue says. */
  readonly loopDue: boolean;
  share(): PortToken;

  /** destroy() begins: posting fails and no thread is woken from now on. */
  stop(): void;
  /**
   * Closes all sockets, and takes back from the kernel the port's memory that it holds. False when the kernel still holds
   * some: that memory is not used again.
   */
  drain(): boolean;
  /** Closes the kernel queue. Nothing of the driver is called after this. */
  destroy(): void;
  /** The kernel may still write to this block: it stays mapped. */
  abandon(block: NativeBlock): void;
}
