// A provided-buffer ring (Linux 5.19): the receive buffers that the kernel may fill, in memory that both sides see.
// The kernel takes entries from its head; we add at the tail. Entry 0 holds the tail in its last two bytes.
//
// The kernel goes through the buffers in turn, so the fewer there are, the warmer is the next one in the caches. Only
// some are in use at first; the others join when the kernel finds none.

import type { NativeBlock } from '../../native/memory.js';
import type { ReceiveBuffers } from '../../port/receive-buffers.js';
import { ringError } from '../errors.js';
import { BUF, REGISTER } from '../layout.js';
import { errno, io_uring_register } from '../libc.js';
import { writeAddress64 } from '../messages.js';

/** The number by which receives name the ring. */
export const BUFFER_GROUP = 0;
/** Buffers in use at first. */
const FIRST = 64;

export class BufferRing {
  readonly #buffers: ReceiveBuffers;
  readonly #words: Uint32Array;
  readonly #halves: Uint16Array;
  readonly #mask: number;
  #tail = 0;
  /** Buffers that are in use: free in the ring, or out. */
  #inUse = 0;

  /**
   * Registers `block` as the ring of BUFFER_GROUP, with the first buffers in it.
   * Throws an IocpError: EINVAL where the kernel has no buffer rings, ENOMEM where RLIMIT_MEMLOCK leaves no room for one.
   */
  constructor(ringFd: number, block: NativeBlock, buffers: ReceiveBuffers) {
    this.#buffers = buffers;
    this.#words = block.words;
    this.#halves = new Uint16Array(block.bytes.buffer, block.bytes.byteOffset, block.size / 2);
    this.#mask = buffers.count - 1;
    // struct io_uring_buf_reg: ring_addr (8), ring_entries (4), bgid (2), flags (2), reserved (24).
    const argument = Buffer.alloc(40);
    argument.writeBigUInt64LE(BigInt(block.address), 0);
    argument.writeUInt32LE(buffers.count, 8);
    argument.writeUInt16LE(BUFFER_GROUP, 12);
    if (io_uring_register(ringFd, REGISTER.PBUF_RING, argument, 1) < 0) {
      throw ringError('register buffers', 'io_uring_register', errno());
    }
    this.grow();
    this.publish();
  }

  /** Buffers that the kernel can fill. */
  get free(): number {
    return this.#inUse - this.#buffers.out;
  }

  /** Takes twice as many buffers into use. False when all of them are. */
  grow(): boolean {
    const { count } = this.#buffers;
    if (this.#inUse === count) return false;
    const next = Math.min(count, Math.max(FIRST, this.#inUse * 2));
    for (; this.#inUse < next; this.#inUse++) this.provide(this.#inUse);
    return true;
  }

  /** Gives a free buffer to the kernel, with the next publish(). */
  provide(index: number): void {
    const { block, size } = this.#buffers;
    const slot = this.#tail & this.#mask;
    const address = block.address + this.#buffers.offsetOf(index);
    writeAddress64(this.#words, slot * 4, address);
    this.#words[slot * 4 + 2] = size;
    this.#halves[slot * 8 + BUF.bid16] = index;
    this.#tail = (this.#tail + 1) & 0xffff;
  }

  /**
   * Shows the kernel the provided buffers. To be called before io_uring_enter(), in which it takes buffers. A thread of the
   * kernel may take them at any time, on another processor: the entries must be in memory before the tail is.
   */
  publish(): void {
    Atomics.store(this.#halves, BUF.tail16, this.#tail);
  }
}
