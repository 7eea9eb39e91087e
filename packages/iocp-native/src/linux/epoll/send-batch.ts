// Sends of many sockets in one system call, io_submit(2). Its sockets have O_NONBLOCK, or the call would wait for their peers.
//
// Memory: MOST_OPERATIONS structures iocb, the addresses of these, and as many structures io_event.

import type { NativeBlock } from '../../native/memory.js';
import { joinContext, leaveContext, MOST_OPERATIONS } from '../aio.js';
import { bindCalls, type Calls } from '../calls.js';
import { EINTR, linuxError } from '../errors.js';
import { IO_EVENT, IOCB, IOCB_CMD_PWRITE, SYS_io_getevents, SYS_io_submit } from '../layout.js';
import { errno } from '../libc.js';
import { writeAddress64 } from '../messages.js';
import type { EpollSocket } from './socket.js';

/** Fewer sends cost less by calls of their own. */
export const LEAST_SENDS = 6;

const ADDRESSES = MOST_OPERATIONS * IOCB.size;
const EVENTS = ADDRESSES + MOST_OPERATIONS * 8;
/** Bytes of memory for a batch. */
export const SEND_BATCH_SIZE = EVENTS + MOST_OPERATIONS * IO_EVENT.size;

export class SendBatch {
  /** Of each send of the last submit(): the bytes that the kernel took, or an errno, negated. */
  readonly results = new Int32Array(MOST_OPERATIONS);
  readonly #calls: Calls = bindCalls();
  readonly #words: Uint32Array;
  readonly #address: number;
  /** Of Linux AIO; 0 where there is none, null before the first submit(). */
  #context: number | null = null;

  /** @param block hidden memory of at least SEND_BATCH_SIZE bytes */
  constructor({ words, address }: NativeBlock) {
    this.#words = words;
    this.#address = address;
    for (let i = 0; i < MOST_OPERATIONS; i++) {
      words[(i * IOCB.size + IOCB.data) >> 2] = i;
      words[(i * IOCB.size + IOCB.opcode) >> 2] = IOCB_CMD_PWRITE;
      writeAddress64(words, (ADDRESSES >> 2) + i * 2, address + i * IOCB.size);
    }
  }

  /**
   * Sends what `sockets` have left, from place `from` on and up to place `end`. Gives how many of these it has tried. Fewer, or none:
   * the rest needs calls of its own. Throws an IocpError.
   */
  submit(sockets: readonly EpollSocket[], from: number, end: number): number {
    this.#context ??= joinContext();
    const context = this.#context;
    if (context === 0) return 0;
    const words = this.#words;
    const count = Math.min(end - from, MOST_OPERATIONS);
    for (let i = 0, at = 0; i < count; i++, at += IOCB.size >> 2) {
      const { handle, sendAddress, sendLeft } = sockets[from + i]!;
      words[at + (IOCB.fd >> 2)] = handle;
      writeAddress64(words, at + (IOCB.buffer >> 2), sendAddress);
      words[at + (IOCB.bytes >> 2)] = sendLeft;
    }
    const tried = this.#calls.io_submit(SYS_io_submit, context, count, this.#address + ADDRESSES);
    if (tried <= 0) return 0;
    for (let left = tried; left > 0; ) left -= this.#takeResults(context, left);
    return tried;
  }

  /** AIO serves no sockets here: from now on submit() tries none. */
  giveUp(): void {
    this.#context = 0;
  }

  close(): void {
    if (this.#context !== null) leaveContext();
  }

  #takeResults(context: number, count: number): number {
    const { io_getevents } = this.#calls;
    const taken = io_getevents(SYS_io_getevents, context, count, count, this.#address + EVENTS, 0);
    if (taken < 0) {
      const code = errno();
      if (code !== EINTR) throw linuxError('send', 'io_getevents', code);
      return 0;
    }
    const words = this.#words;
    for (let i = 0, at = EVENTS >> 2; i < taken; i++, at += IO_EVENT.size >> 2) {
      this.results[words[at]!] = words[at + (IO_EVENT.result >> 2)]!;
    }
    return taken;
  }
}
