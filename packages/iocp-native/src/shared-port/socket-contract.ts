// The interfaces of a kernel for shared sessions: a port that several threads wait on for the packets of sockets, and the calls of
// those sockets. A program has one kernel, so each call of these methods has one target.
//
// A connection is armed for the events that its session waits for, and gives one packet. Until it is armed again, no other thread gets one for
// the same purpose. epoll says that a socket is ready; a completion port says that an operation has ended: a receive of no bytes,
// which ends when bytes are there, or the send of the piece that arm() named.

import type { IocpError } from '../contract/errors.js';
import type { Endpoint, SocketOptions } from '../contract/port.js';
import type { NativeBlock } from '../native/memory.js';

/** Events that a socket is armed for, or ready for: bits, with the numbers of EPOLLIN and EPOLLOUT. */
export const Ready = { Read: 1, Write: 4 } as const;

/** The first number of a listening socket's packet; the second is its service. No record of a session has this number. */
export const LISTENER = 0xfffffffe;

/** Negated: there was nothing to receive, or no connection to accept. */
export const WOULD_BLOCK = 11;

/** A thread's view of a port. Each thread opens its own. An error number is the kernel's, positive; 0 is success. */
export interface SocketPort {
  /** Of the packet that wait() took: the record and the generation of a session, LISTENER and a service, or the numbers of a post. */
  readonly low: number;
  readonly high: number;
  /** Bits of Ready; 0 for a posted packet. */
  readonly ready: number;
  /** With Ready.Write: bytes of the armed piece that the kernel has sent; negative: an error number. 0 where it sends none by itself. */
  readonly sent: number;
  /** Times that this thread slept in wait(), and times that it lost its slot since its handler blocked. Undefined where the kernel keeps the slots. */
  readonly wakeUps?: number;
  readonly losses?: number;
  /** True once any thread has closed the port. */
  readonly closed: boolean;

  /**
   * Ends this thread's work on its last packet, and takes the next. Blocks the thread up to `timeout` milliseconds (0: not at
   * all; -1: for ever). False when there was none in that time, or the port is closed. Throws an IocpError.
   */
  wait(timeout: number): boolean;

  /** The packet has been noted: its events may be armed again. Called once for each packet with bits of Ready. */
  done(): void;

  /** Whether the event loop of this thread may have something to do now. A turn of a loop that has nothing to do costs the thread its place. */
  loopDue(): boolean;

  /** Sleeps until the event loop of this thread has something to do, or a packet is there, which wait() then takes if no other thread does. */
  waitForLoop(): void;

  /** Queues a packet of two numbers, each below 2^32. False when it cannot: see wake(). */
  post(low: number, high: number): boolean;

  /** The queue of posts is full: has a connection give a packet for Ready.Write soon, if it can. */
  wake(fd: number, slot: number, generation: number): void;

  /** Begins to watch a listening socket, armed. Gives an error number. */
  listen(fd: number, service: number): number;

  /** Inside the lock of the service's listening socket: has a thread get a packet for its next connection. Gives an error number. */
  armListener(fd: number, service: number): number;

  /** Whether connections wait to be accepted, if the kernel tells. */
  hasBacklog(listener: number): boolean;

  /**
   * Inside the same lock, after a packet of the listening socket: takes a connection of the listening socket, -1 once that is closed, and stores its descriptor in `into[0]` before
   * anything else, as a thread may end at any call. Gives the descriptor, or a negated error number.
   */
  accept(listener: number, into: Int32Array, options: SocketOptions): number;

  /** Instead of accept(): the connection waits until the listening socket is armed again. */
  hold(): void;

  /** Inside the same lock, after the close of the listening socket: connections that wait are closed. */
  unlisten(service: number): void;

  /** Begins to watch a connection, which is armed for nothing. Gives an error number. */
  add(fd: number, slot: number, generation: number): number;

  /**
   * Inside the record's lock: arms a connection for all bits of Ready that its session waits for. The oldest bytes that wait lie at
   * `address`; the kernel may read them there until the packet for Ready.Write has come. Gives an error number.
   */
  arm(fd: number, ready: number, slot: number, generation: number, address: number, length: number): number;

  /** Whether the kernel uses no memory of the record any more. After the close of its socket that is so soon, and a packet says so. */
  idle(slot: number): boolean;

  /** Does what would hold up this thread's first wait(). Absent where nothing does. */
  prepare?(): void;

  /** This thread lets another run in its place until its next wait(). */
  leave(): void;

  /** Whether a thread holds a slot and works on a packet. Absent where the kernel keeps the slots. */
  runs?(threadId: number): boolean;

  /** Closes the port for all threads: wait() gives false in each. */
  close(): void;

  /** Gives the memory of this view of the port back. It is not to be used any more. */
  release(): void;

  /** After the end of a thread: takes back its resources. @param accepted the descriptor that it had stored; -1 for none */
  recover(threadId: number, accepted: number): void;
}

/** The calls of sockets, which do not wait. Each gives a negated error number when it fails. */
export interface SharedSockets {
  /** The bytes that receive() has taken. A user gets views of them. */
  readonly received: Buffer;

  /** Bytes that have been received into `received`; 0 at the peer's end; -WOULD_BLOCK when there are none. */
  receive(fd: number): number;

  /** Sends as much of `bytes` as the kernel takes at once. Gives how much that is. The memory is read during the call only. */
  send(fd: number, bytes: Uint8Array, length: number): number;

  /** The same for bytes of a block that all threads see. */
  sendBlock(fd: number, block: NativeBlock, offset: number, length: number): number;

  /** Tells the socket of a connection from others that its descriptor may name later: by its inode, or the client's address. 0 if the descriptor is closed. */
  mark(fd: number): number;

  /** Ends the direction to the peer, after all sent bytes. */
  end(fd: number): void;

  /** Closes a connection. @param reset discards unsent bytes, and sends RST */
  close(fd: number, reset: boolean): void;

  /** An end of a connection. Throws an IocpError when it is gone. */
  endpoint(fd: number, which: 'remote' | 'local'): Endpoint;

  /** The error of one of this kernel's error numbers, for a session. */
  error(action: string, syscall: string, errno: number): IocpError;
}
