// ByteSource: the BIO that all connections of a thread are read from. OpenSSL takes the peer's bytes from where they lie: the BIO is a
// read-only one over memory, and offer() writes the address and the length of the bytes into its BUF_MEM.
//
//   BUF_MEM (openssl/buffer.h)   0               8            16           24
//                                | size_t length | char *data | size_t max | ...

import assert from 'node:assert';
import { byteOffsetOf, koffi, lengthOf, memoryOf, viewOf } from '@overlapped/iocp-native/internal';
import * as lib from './openssl.js';
import { type Address, type OpenSsl, takeError } from './openssl.js';

const SIZE = 24;
// Places in words of 32 bits.
const LENGTH = 0;
const DATA = 2;
const MAX = 4;
const WORD = 2 ** 32;

export interface ByteSource {
  /** The address of the BIO. */
  readonly address: Address;
  /** Adds bytes, which must stay as they are until OpenSSL has read them all, or clear() is called. False without memory for them. */
  offer(bytes: Buffer): boolean;
  /** Drops the bytes that OpenSSL has not read. */
  clear(): void;
}

/** A source that copies nothing; one that copies where a trial shows that this OpenSSL does not read through its BUF_MEM. */
export function openByteSource(ssl: OpenSsl): ByteSource {
  return InPlaceSource.open(ssl) ?? new CopyingSource(ssl);
}

export class InPlaceSource implements ByteSource {
  readonly address: Address;
  /** OpenSSL has an address only, so this reference keeps the memory from the garbage collector. */
  held: Buffer | null;
  readonly #words: Uint32Array;
  readonly #addresses = new WeakMap<ArrayBuffer, number>();

  private constructor(address: Address, words: Uint32Array, held: Buffer) {
    this.address = address;
    this.held = held;
    this.#words = words;
  }

  /** Null if a trial fails. Then nothing was written, and no byte was read, but in memory of this function's own. */
  static open(ssl: OpenSsl): InPlaceSource | null {
    const sample = Buffer.from(Array.from({ length: SIZE }, (_, i) => i));
    const address = ssl.BIO_new_mem_buf(sample, SIZE);
    if (address === 0) throw takeError(ssl, 'set up TLS', 'BIO_new_mem_buf');
    try {
      const source = InPlaceSource.#over(ssl, address, sample);
      if (source !== null) return source;
    } catch {
      // koffi gives no views, or no addresses, here.
    }
    ssl.BIO_free(address);
    return null;
  }

  static #over(ssl: OpenSsl, address: Address, sample: Buffer): InPlaceSource | null {
    const at = Buffer.alloc(8);
    if (ssl.BIO_ctrl(address, lib.BIO_C_GET_BUF_MEM_PTR, 0, at) !== 1) return null;
    const words = new Uint32Array(viewOf(at.readBigUInt64LE(0), SIZE));
    const source = new InPlaceSource(address, words, sample);
    const before = [SIZE, 0, 0, 0, SIZE, 0];
    writeAddress(before, source.#addressOf(sample));
    if (before.some((word, i) => words[i] !== word)) return null;
    // At its end the BIO asks for more bytes. Without this it would say that the stream has ended.
    ssl.BIO_ctrl(address, lib.BIO_C_SET_BUF_MEM_EOF_RETURN, -1, null);
    const taken = Buffer.alloc(SIZE);
    source.clear();
    if (ssl.BIO_read(address, taken, SIZE) !== -1) return null;
    const part = sample.subarray(5, 12);
    source.offer(part);
    const length = ssl.BIO_read(address, taken, SIZE);
    return length === part.length && taken.subarray(0, length).equals(part) && words[LENGTH] === 0 ? source : null;
  }

  offer(bytes: Buffer): boolean {
    const words = this.#words;
    if (words[LENGTH] !== 0) this.#fail();
    this.held = bytes;
    writeAddress(words, this.#addressOf(bytes));
    // A detached array has no bytes.
    const length = lengthOf(bytes);
    words[LENGTH] = length;
    words[MAX] = length;
    return true;
  }

  clear(): void {
    this.held = null;
    this.#words[LENGTH] = 0;
    this.#words[MAX] = 0;
  }

  /** The memory of an ArrayBuffer never moves. */
  #addressOf(bytes: Buffer): number {
    const memory = memoryOf(bytes);
    const known = this.#addresses.get(memory);
    if (known !== undefined) return known + byteOffsetOf(bytes);
    const address = Number(koffi().address(memory));
    this.#addresses.set(memory, address);
    return address + byteOffsetOf(bytes);
  }

  /** Bytes of one connection would be lost, or read as those of another. */
  #fail(): never {
    this.clear();
    assert.fail('OpenSSL has not read all bytes of the packet before');
  }
}

export class CopyingSource implements ByteSource {
  readonly address: Address;
  readonly #ssl: OpenSsl;

  constructor(ssl: OpenSsl) {
    this.#ssl = ssl;
    this.address = ssl.BIO_new(ssl.BIO_s_mem());
    if (this.address === 0) throw takeError(ssl, 'set up TLS', 'BIO_new');
  }

  offer(bytes: Buffer): boolean {
    return bytes.length === 0 || this.#ssl.BIO_write(this.address, bytes, bytes.length) === bytes.length;
  }

  clear(): void {
    this.#ssl.BIO_ctrl(this.address, lib.BIO_CTRL_RESET, 0, null);
  }
}

/** Writes where the data of a BUF_MEM lies. */
function writeAddress(words: Uint32Array | number[], address: number): void {
  words[DATA] = address % WORD;
  words[DATA + 1] = Math.floor(address / WORD);
}
