// Submission entries, prepared by named functions, as liburing has them. Each takes the next free entry of a ring, and writes all
// of its fields; those that it does not name are zero. It gives the entry's place in `ring.sqes`, for setUserData() and
// setFlags():
//
//   setUserData(ring, prepSend(ring, fd, address, length, flags), low, high);
//
// struct io_uring_sqe, in 32-bit words: opcode (8 bits), flags (8), ioprio (16) | fd | off (2) | addr (2) | len | op_flags |
// user_data (2) | buf_group. The other words stay zero.

import {
  ACCEPT_MULTISHOT,
  ASYNC_CANCEL_FLAG,
  OP,
  POLL_ADD_MULTI,
  RECV_MULTISHOT,
  SOCK_CLOEXEC,
  SQE_FLAG,
} from '../layout.js';
import type { Ring } from './ring.js';

const FLAGS_SHIFT = 8;
const IOPRIO_SHIFT = 16;
const FD = 1;
const OFF = 2;
const ADDR = 4;
const LEN = 6;
const OP_FLAGS = 7;
const USER_DATA = 8;
const BUF_GROUP = 10;
const RECEIVE = (SQE_FLAG.BUFFER_SELECT << FLAGS_SHIFT) | (RECV_MULTISHOT << IOPRIO_SHIFT);

/** Nothing. */
export function prepNop(ring: Ring): number {
  return prepare(ring, OP.NOP, -1, 0, 0, 0);
}

/**
 * send(2).
 * @param flags MSG_...
 */
export function prepSend(ring: Ring, fd: number, address: number, length: number, flags: number): number {
  return prepare(ring, OP.SEND, fd, address, length, flags);
}

/**
 * sendmsg(2).
 * @param message the address of a msghdr
 * @param flags MSG_...
 */
export function prepSendmsg(ring: Ring, fd: number, message: number, flags: number): number {
  return prepare(ring, OP.SENDMSG, fd, message, 1, flags);
}

/** Receives again and again, each time into a buffer of the group. */
export function prepRecvMultishot(ring: Ring, fd: number, group: number): number {
  const at = prepare(ring, OP.RECV | RECEIVE, fd, 0, 0, 0);
  ring.sqes[at + BUF_GROUP] = group;
  return at;
}

/**
 * The same for datagrams.
 * @param message the address of a msghdr, which says how many bytes of the buffer the name has
 */
export function prepRecvmsgMultishot(ring: Ring, fd: number, message: number, group: number): number {
  const at = prepare(ring, OP.RECVMSG | RECEIVE, fd, message, 1, 0);
  ring.sqes[at + BUF_GROUP] = group;
  return at;
}

/** Accepts again and again. */
export function prepAcceptMultishot(ring: Ring, fd: number): number {
  return prepare(ring, OP.ACCEPT | (ACCEPT_MULTISHOT << IOPRIO_SHIFT), fd, 0, 0, SOCK_CLOEXEC);
}

/**
 * connect(2).
 * @param address of a sockaddr of `length` bytes
 */
export function prepConnect(ring: Ring, fd: number, address: number, length: number): number {
  const at = prepare(ring, OP.CONNECT, fd, address, 0, 0);
  ring.sqes[at + OFF] = length;
  return at;
}

/** Reads `length` bytes of a file from `offset`. */
export function prepRead(ring: Ring, fd: number, offset: number, address: number, length: number): number {
  const at = prepare(ring, OP.READ, fd, address, length, 0);
  ring.sqes[at + OFF] = offset;
  ring.sqes[at + OFF + 1] = Math.floor(offset / 0x100000000);
  return at;
}

/**
 * shutdown(2).
 * @param how SHUT_WR ...
 */
export function prepShutdown(ring: Ring, fd: number, how: number): number {
  return prepare(ring, OP.SHUTDOWN, fd, 0, how, 0);
}

/** close(2). */
export function prepClose(ring: Ring, fd: number): number {
  return prepare(ring, OP.CLOSE, fd, 0, 0, 0);
}

/** Completes once, when the descriptor has one of `events` (POLLIN ...), or has it already. */
export function prepPollAdd(ring: Ring, fd: number, events: number): number {
  return prepare(ring, OP.POLL_ADD, fd, 0, 0, events);
}

/** Completes each time that the descriptor is signalled anew. */
export function prepPollAddMulti(ring: Ring, fd: number, events: number): number {
  return prepare(ring, OP.POLL_ADD, fd, 0, POLL_ADD_MULTI, events);
}

/** Cancels the operation with this user_data. It completes only when it fails: ENOENT, EALREADY. */
export function prepCancel(ring: Ring, low: number, high: number): number {
  const at = prepare(ring, OP.ASYNC_CANCEL | (SQE_FLAG.CQE_SKIP_SUCCESS << FLAGS_SHIFT), -1, 0, 0, 0);
  ring.sqes[at + ADDR] = low;
  ring.sqes[at + ADDR + 1] = high;
  return at;
}

/** Cancels all operations of the ring. */
export function prepCancelAll(ring: Ring): number {
  return prepare(ring, OP.ASYNC_CANCEL, -1, 0, 0, ASYNC_CANCEL_FLAG.ALL | ASYNC_CANCEL_FLAG.ANY);
}

/**
 * Completes with ETIME when the time is over.
 * @param timespec the address of a struct __kernel_timespec
 */
export function prepTimeout(ring: Ring, timespec: number): number {
  return prepare(ring, OP.TIMEOUT, -1, timespec, 1, 0);
}

/** The user_data of the entry's completions. */
export function setUserData(ring: Ring, at: number, low: number, high: number): void {
  ring.sqes[at + USER_DATA] = low;
  ring.sqes[at + USER_DATA + 1] = high;
}

/** Adds flags: SQE_FLAG. */
export function setFlags(ring: Ring, at: number, flags: number): void {
  ring.sqes[at]! |= flags << FLAGS_SHIFT;
}

/** @param head the opcode, and the fields that share its word */
function prepare(ring: Ring, head: number, fd: number, address: number, length: number, opFlags: number): number {
  const at = ring.nextEntry();
  const { sqes } = ring;
  sqes[at] = head;
  sqes[at + FD] = fd;
  sqes[at + OFF] = 0;
  sqes[at + OFF + 1] = 0;
  sqes[at + ADDR] = address;
  sqes[at + ADDR + 1] = Math.floor(address / 0x100000000);
  sqes[at + LEN] = length;
  sqes[at + OP_FLAGS] = opFlags;
  sqes[at + USER_DATA] = 0;
  sqes[at + USER_DATA + 1] = 0;
  sqes[at + BUF_GROUP] = 0;
  return at;
}
