// The contract of a completion port, the same on every kernel. Every backend implements
// `CompletionPort`; test/contract.ts runs every rule that is written here against each of them.
//
//   start an operation  ->  the kernel performs it  ->  its packet comes out of dequeue()
//
// Rules that hold for all operations:
//  1. Starting never calls back and never throws for an operating error. An operation that fails or finishes at once is
//     queued and comes out of a later dequeue(), so no packet is seen before its start has returned.
//  2. An event and the memory that it names belong to the port until the packet of the operation has been
//     dequeued (`event.pending` says so). Cancelling is a request: the packet still comes.
//  3. Packets leave first in, first out. Operating errors are values in packets; bugs throw an AssertionError.
//  4. A socket has at most one receive stream, one send and one connect in flight. A listener may have many accepts, and
//     a datagram socket up to MAX_DATAGRAM_SENDS sends, each with an event of its own.
//  5. Closing has two phases: operations in flight are cancelled and their packets come out; then the handle is
//     closed and a Close packet, the socket's last, comes out. Only then may its events be released.
//  6. A port, its sockets and its events belong to the thread that opened it. Across threads go a `PortPoster`, and
//     the handle of a connection that a detached listener accepted and that no port has adopted yet.

import type { NativeBlock } from '../native/memory.js';
import type { IocpError } from './errors.js';
import type { GatherList } from './gather-list.js';
import type {
  AnySocketOptions,
  DatagramOptions,
  Endpoint,
  ListenOptions,
  PipeEndpoint,
  SocketOptionName,
  SocketOptions,
} from './options.js';

export { GatherList, MAX_GATHER } from './gather-list.js';
export type {
  AnySocketOptions,
  DatagramOptions,
  DatagramSocketOptions,
  Endpoint,
  KeepAlive,
  ListenOptions,
  PipeEndpoint,
  SocketOptionName,
  SocketOptions,
} from './options.js';

/**
 * The backend of a port: a kernel, node:net (`portable`), or createSimulation() of the testing entry (`simulation`), which
 * openPort() does not know.
 */
export type BackendName = 'iocp' | 'io_uring' | 'epoll' | 'portable' | 'simulation';

/** The kind of an operation. Small integers, so that a switch over them is a jump. */
export const Operation = {
  /** A connection was accepted: `socket`, or, when the listener is detached, `handle`. */
  Accept: 1,
  /** A connection is there. */
  Connect: 2,
  /** Bytes have come (`data`), or the receive stream is over (`data` is null). */
  Receive: 3,
  /** All pieces of a send are with the kernel. */
  Send: 4,
  /** The FIN was sent. */
  Shutdown: 5,
  /** The last packet of a socket, whose handle is closed. */
  Close: 6,
  /** Posted by this thread (any `key`), or by another one (a number). */
  Post: 7,
} as const;
/** One of these numbers. */
export type Operation = (typeof Operation)[keyof typeof Operation];

/** Bytes of native memory that an event brings: OVERLAPPED first, then room for the backend's own arguments. */
export const EVENT_SIZE = 384;
/** The most sends that a datagram socket may have in flight. */
export const MAX_DATAGRAM_SENDS = 4096;

/**
 * The record of one operation in flight, as a port sees it. Its first 32 bytes are an OVERLAPPED, the rest
 * of its EVENT_SIZE bytes is the backend's (WSABUFs and addresses; msghdr and iovecs).
 */
export interface Overlapped {
  /** The native memory that holds the record. */
  readonly block: NativeBlock;
  /** Where in the block it starts, in bytes; a multiple of 16. */
  readonly offset: number;
  /** Slot and generation in 32 unsigned bits: another value whenever the slot is used anew. */
  readonly tag: number;
  /** True from the start of an operation until its last packet has been dequeued. Written by the port only. */
  pending: boolean;
}

/** A socket of one port. */
export interface PortSocket {
  /** The OS's number (fd or SOCKET); -1 when closed, and where there is none. */
  readonly handle: number;
  /** The completion key, which each packet of this socket has. Set by the owner. */
  key: unknown;
  /**
   * Set by the owner of a connection that copies all it receives: bytes that are many may then come in memory of their own, in the
   * place of a receive buffer (`packet.buffer` is -1). It is a wish: a backend may use receive buffers all the same. Default false.
   */
  ownMemory: boolean;
  /** Operations whose last packet has not been dequeued yet. */
  readonly pending: number;
  /** Asks the OS. Throws an IocpError when the socket is closed, not connected, or local, which has no address. */
  localEndpoint(): Endpoint;
  /** Asks the OS for the peer's. Throws an IocpError when the socket is closed or not connected. */
  remoteEndpoint(): Endpoint;
  /**
   * Sets an option of SocketOptions, or of DatagramSocketOptions on a UDP socket. Throws a TypeError or a RangeError for a value
   * that the option cannot have, and an IocpError: EBADF when the socket is closed, ENOTSUP for an option that the socket or the
   * backend has not, EINVAL for a value that the system refuses.
   */
  setOption<Name extends SocketOptionName>(name: Name, value: Required<AnySocketOptions>[Name]): void;
}

/** One completion packet. Reused: good until the next dequeue() into the same batch. */
export class CompletionPacket {
  /** The operation that has ended. */
  operation: Operation = Operation.Post;
  /** The socket's completion key, or the key of a post. */
  key: unknown = undefined;
  /** The event that the operation was started with. Null for Shutdown, Close and Post. */
  event: Overlapped | null = null;
  /** The socket operated on; for Accept, the new one. Null for Post, and for an Accept that failed or is detached. */
  socket: PortSocket | null = null;
  /** Bytes transferred (Receive, Send), or the number posted. */
  bytes = 0;
  /** Accept of a detached listener: the handle of the connection, which the taker of the packet owns. Else -1. */
  handle = -1;
  /**
   * Receive: the bytes, borrowed if `buffer` says so; else they have memory of their own. Null at the end of the stream, on errors,
   * and for other operations.
   */
  data: Buffer | null = null;
  /** Receive: which receive buffer `data` lies in, to be given back with release(); else -1. See PortSocket.ownMemory. */
  buffer = -1;
  /** Null when the operation succeeded. */
  error: IocpError | null = null;
  /** Receive on a datagram socket: its sender. Else null. Good for longer than the packet, and best for an answer. */
  from: Endpoint | null = null;
}

/** Counters since the port opened, but for the first three, which are levels. */
export interface PortStats {
  /** Operations whose last packet has not been dequeued. */
  inFlight: number;
  /** Sockets that are open. */
  sockets: number;
  /** Receive buffers that were handed out and not yet given back. */
  buffersOut: number;
  /** Packets dequeued. */
  packets: number;
  /** dequeue() calls that brought at least one packet: packets / wakeUps is the batch size. */
  wakeUps: number;
  /** Late packets, for a slot that had been reused. Always 0 unless there is a bug to find. */
  dropped: number;
  /** Times that data was there and no receive buffer was free. */
  starved: number;
}

/** How a port is made. */
export interface PortOptions {
  /**
   * How many threads are to run packets at a time. Default: the number of cores. Informative only: one thread reads this port,
   * and a limit in the kernel could keep that one out.
   */
  readonly concurrency?: number;
  /**
   * Default 1024 of 8256 bytes: a size that is no multiple of a page's, so that the first bytes of different buffers
   * compete for different lines of the caches.
   */
  readonly receiveBuffers?: ReceiveBufferOptions;
}

/** The receive buffers of a port. */
export interface ReceiveBufferOptions {
  /** How many: a power of two, 32,768 at most. */
  readonly count: number;
  /** Bytes of each: a multiple of 4, 64 to 1 MiB. */
  readonly size: number;
}

/** The address of a port for posts of other threads; it can be sent to a worker as it is. See `openPoster`. */
export interface PortToken {
  /** The backend that posts to the port. */
  readonly backend: BackendName;
  /** The completion port's HANDLE, or the write end of a pipe; -1 where memory alone does it. */
  readonly handle: number;
  /** The queue of posted packets, or, where the kernel keeps that, the gate that closes with the port. */
  readonly queue: SharedArrayBuffer | null;
}

/** Posts to a port from any thread (PostQueuedCompletionStatus with numbers). */
export interface PortPoster {
  /**
   * Queues a Post packet with `key` (0 to 2^32 - 1) and `bytes` (0 to 2^32 - 1) and wakes the port.
   * False when the queue is full, the port is closed, or a thread has ended in the middle of a post and recoverPoster()
   * has not been called yet: keep the packet and try again.
   */
  post(key: number, bytes: number): boolean;
}

/**
 * A queue of finished operations, and the functions that start them. It belongs to the thread that opened it: everything here is called
 * there.
 */
export interface CompletionPort {
  /** The backend. */
  readonly backend: BackendName;
  /** The port is the kernel's own: dequeue() can wait, and sockets can move between the ports of threads. */
  readonly native: boolean;
  /** NumberOfConcurrentThreads, as it was opened with. */
  readonly concurrency: number;
  /** Kept up to date: the same object each time. */
  readonly stats: Readonly<PortStats>;

  /**
   * Zeroed native memory for events and for bytes to send. The port takes it back when it closes: it reads zeros from then
   * on, and its addresses are not used again, as views of it may have been kept. Address space is all that it then costs.
   * `hidden` memory serves later ports: no view of it may leave its owner.
   */
  allocate(bytes: number, hidden?: boolean): NativeBlock;

  /**
   * A listening socket, associated with this port. Port 0 takes a free one. Rejects with an IocpError
   * (EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL ...).
   *
   * On a path: EADDRINUSE also for the file that a dead process left, which is for its owner to remove; ENAMETOOLONG,
   * ENOENT or EACCES for its folder. The file is removed when the close of the listener starts. Local sockets know no
   * reset: a peer may see the end instead. Named pipes have no half-close either (shutdown() fails with ENOTSUP), no
   * sendFile() (ENOTSUP), since the kernel has none for them, and no detached accepts (ENOTSUP), since a pipe is with its
   * port before its client comes.
   */
  listen(local: Endpoint | PipeEndpoint, options?: ListenOptions): Promise<PortSocket>;

  /**
   * Starts one accept (AcceptEx). Its packet has the listener's key and the new socket, associated, whose own key is
   * undefined until the owner sets it.
   * A failure (ECONNABORTED for a peer that has gone, EMFILE, ENFILE, ENOBUFS ...) ends this accept only; the listener stays good.
   * Accepts outstanding when the listener closes end with ECANCELED. A connection that the kernel had already
   * handed over is never lost: it comes out before the Close packet, with a null event if no accept waits.
   */
  accept(listener: PortSocket, event: Overlapped): void;

  /**
   * Associates a connection that a detached listener of any thread accepted. Takes the handle over: when that fails it
   * is closed, and an IocpError thrown (ENOTSUP where the port is not `native`).
   */
  adopt(handle: number): PortSocket;

  /** Starts a connect (ConnectEx) from a new socket, which is returned at once; on failure, close it. */
  connect(event: Overlapped, remote: Endpoint | PipeEndpoint, key: unknown, options?: SocketOptions): PortSocket;

  /**
   * A UDP socket, bound and associated with this port. Port 0 takes a free one. Rejects with an IocpError (EADDRINUSE,
   * EADDRNOTAVAIL, EACCES, EAFNOSUPPORT ...).
   *
   * Its receive stream brings one datagram in each packet, an empty one as `data` of no bytes. `from` is its sender.
   * A receive buffer has room for datagrams of its size less 48 bytes. A larger datagram is truncated: its packet has both
   * `data` and an `error` (EMSGSIZE), as no other packet has. While no stream runs or no buffer is free, some datagrams are
   * kept, and those beyond are lost. On a connected socket, the stream or a send ends with ECONNREFUSED when the peer's port
   * has no socket; the stream may then be started again. On an unconnected socket no peer can end the stream. On Windows a
   * running stream has a receive buffer with the kernel all the time.
   */
  bind(local: Endpoint, options?: DatagramOptions): Promise<PortSocket>;

  /**
   * Sends all of the pieces as one datagram (none: an empty one): `to` an address, or null on a connected socket, which
   * goes to its peer. An IPv4 address is reached from a dual-stack socket, too. EMSGSIZE when it is too large: 65,507
   * bytes always fit UDP. EAFNOSUPPORT for an IPv6 address on an IPv4 socket. Success says that the kernel took it.
   */
  sendTo(socket: PortSocket, event: Overlapped, pieces: GatherList, to: Endpoint | null): void;

  /**
   * Starts the receive stream. While it runs, each packet brings `data` in a buffer that the port picked when
   * data was there; an idle stream holds none. The stream's last packet has null `data`: `error` null is the
   * peer's FIN, ECANCELED answers cancel() or close(), anything else is a failure. When no buffer is free the
   * stream waits for one to be released. It may be started again after ECANCELED.
   */
  receive(socket: PortSocket, event: Overlapped): void;

  /** Gives a receive buffer back (and each retain() needs one more). */
  release(buffer: number): void;

  /** Keeps a receive buffer past its packet, until one more release(). */
  retain(buffer: number): void;

  /** The buffer that borrowed bytes lie in, or -1 when they are not of this port's receive buffers. */
  bufferOf(bytes: Uint8Array): number;

  /** The block that all receive buffers lie in. A GatherList names it to send borrowed bytes. */
  readonly receiveBlock: NativeBlock;

  /**
   * Where in `receiveBlock` borrowed bytes start, or -1 when they are not of this port's receive buffers.
   * @param buffer the index of their buffer, if it is known: that is faster for the bytes that a packet brought
   */
  placeOf(bytes: Uint8Array, buffer?: number): number;

  /** Sends all of the pieces, in order. One packet, when all bytes are with the kernel, or an error. */
  send(socket: PortSocket, event: Overlapped, pieces: GatherList): void;

  /** Whether sendDirect() can be used: true on Linux. */
  readonly sendsDirectly: boolean;

  /**
   * Sends all of the pieces (none, if you like), and then as many bytes of the arrays, in order, as the kernel takes at once.
   * Returns how many of these it took. They are read before this returns, and not after it: their memory is the caller's again.
   * None is taken while a part of the pieces has to wait, or when the send fails.
   *
   * One Send packet: when all is with the kernel, or when the socket has room for more. Its number counts the bytes of the pieces
   * and those taken. Pieces and arrays are at most 16. Asserts that there is an array and that none is empty; an array whose
   * memory is detached is empty.
   */
  sendDirect(socket: PortSocket, event: Overlapped, pieces: GatherList, arrays: readonly Uint8Array[]): number;

  /**
   * Sends as many bytes of an array as the kernel takes at once, without a packet. Returns their number, which is 0 while the socket
   * has no room. Can be used where sendDirect() can, while no send of the socket is in flight. Throws an IocpError when the
   * connection is broken. Asserts that the array is not empty; an array whose memory is detached is empty.
   */
  sendNow(socket: PortSocket, array: Uint8Array): number;

  /**
   * Sends `length` bytes (1 to 2^30) of a regular file from `offset`, as send() does: one Send packet. `file` is a
   * descriptor of Node's, which must stay open until then. A file that ends early gives ENODATA, after its bytes. On
   * editions of Windows for clients each such send has 64 KiB of memory; elsewhere peers that do not read hold none.
   */
  sendFile(socket: PortSocket, event: Overlapped, file: number, offset: number, length: number): void;

  /** Half-close: sends FIN after all sent bytes. No send may be in flight or follow. Gives a Shutdown packet. */
  shutdown(socket: PortSocket): void;

  /**
   * Asks for the operation of this event to end early. It still gives its packet: ECANCELED, or its result. The socket
   * stays good, but for a send on Windows, which breaks the connection there: close it then.
   */
  cancel(socket: PortSocket, event: Overlapped): void;

  /**
   * Starts the two-phase close: the peer sees an end after all that was sent. `reset` discards unsent bytes and sends RST,
   * and so does a close that cuts a send in flight short. Closing again is harmless.
   */
  close(socket: PortSocket, reset?: boolean): void;

  /** Posts a packet from the port's own thread: any key, and a number. It waits in JavaScript; the kernel is not called. */
  post(key: unknown, bytes: number): void;

  /** For other threads. */
  share(): PortToken;

  /**
   * Hands the started operations to the kernel and takes up to `batch.length` finished packets, oldest first.
   * Waits for the first up to `timeout` milliseconds (0: not at all; -1: for ever). It may end early with 0, so call it in a loop.
   * Only a port whose backend can wait takes a timeout other than 0; portable throws ENOTSUP.
   */
  dequeue(batch: readonly CompletionPacket[], timeout: number): number;

  /**
   * For a guest of the event loop: calls `ready` once, from the loop, when dequeue() may have packets. It keeps
   * the process alive until then. Dequeue until 0, then watch again. A second watch() replaces the first.
   *
   * `ready` runs in a callback of Node's own (an immediate or a timer). Ticks and promises therefore run when it has returned,
   * and not in its middle when native code calls back from within it.
   */
  watch(ready: () => void): void;
  /** Undoes watch(): `ready` is not called, and the process is not kept alive. */
  unwatch(): void;

  /**
   * For a thread that waits in dequeue() instead of in its event loop: from now on a wait also ends, with 0, when the
   * event loop has something to do (I/O, a message, a timer that is due). Let the loop turn then, and come back. A loop
   * with a pending immediate never sleeps, and so neither does dequeue(), unless the immediate is unref()'d meanwhile;
   * nor does a loop that nothing keeps alive. Throws an IocpError: ENOTSUP where dequeue() cannot wait.
   */
  waitForLoop(): void;

  /**
   * After waitForLoop(): whether the event loop is to turn before the next dequeue(), also when the last one brought packets. False
   * when the loop has nothing to do, or the next dequeue() looks: then the caller may go on without a turn. A dequeue() with a
   * timeout of 0 does not look, so it is true after that.
   */
  readonly loopDue: boolean;

  /**
   * Closes the port: cancels and drains operations in flight, closes its sockets, wakes its waiters, and takes its
   * memory back. Packets that were not dequeued are discarded. Every call after this throws EBADF.
   */
  destroy(): void;
}

/** A batch of reusable packets for dequeue(). */
export function createBatch(length: number): CompletionPacket[] {
  return Array.from({ length }, () => new CompletionPacket());
}
