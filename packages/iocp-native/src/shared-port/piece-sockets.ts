// The common part of the sockets of all kernels: a thread receives into a buffer of its own, and sends a caller's bytes in pieces, from
// memory that the kernel may read.

import type { BlockStore, NativeBlock } from '../native/memory.js';
import { byteOffsetOf, copyInto, memoryOf, plainView } from '../typed-arrays.js';

/** Bytes that one receive() takes at most, and that one call of the kernel is given to send. */
export const PIECE = 65536;

export abstract class PieceSockets {
  readonly received: Buffer;
  /** Where that lies. */
  protected readonly into: number;
  readonly #out: NativeBlock;

  constructor(blocks: BlockStore) {
    const block = blocks.take(PIECE);
    this.received = block.bytes;
    this.into = block.address;
    this.#out = blocks.take(PIECE, true);
  }

  send(fd: number, bytes: Uint8Array, length: number): number {
    // Bytes that were just received lie where the kernel may read them.
    if (memoryOf(bytes) === this.received.buffer) return this.sendAt(fd, this.into + byteOffsetOf(bytes), length);
    let sent = 0;
    while (sent < length) {
      const size = Math.min(PIECE, length - sent);
      const piece = sent === 0 && size === length ? bytes : plainView(bytes, length).subarray(sent, sent + size);
      if (!copyInto(this.#out.bytes, 0, piece)) return sent;
      const count = this.sendAt(fd, this.#out.address, size);
      if (count < 0) return sent === 0 ? count : sent;
      sent += count;
      if (count < size) break;
    }
    return sent;
  }

  sendBlock(fd: number, block: NativeBlock, offset: number, length: number): number {
    return this.sendAt(fd, block.address + offset, length);
  }

  /** Sends as much as the kernel takes at once. Gives how much that is, or a negated error number. */
  protected abstract sendAt(fd: number, address: number, length: number): number;
}
