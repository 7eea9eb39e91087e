// The BIO that TLS reads the peer's bytes from: in place, and by copies where a trial fails.

import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { koffi } from '@overlapped/iocp-native/internal';
import { afterEach, describe, expect, it } from 'vitest';
import { type ByteSource, CopyingSource, InPlaceSource, openByteSource } from '../src/tls/byte-source.js';
import { BIO_C_GET_BUF_MEM_PTR, type OpenSsl, openSsl } from '../src/tls/openssl.js';

const ssl = openSsl();
const opened: ByteSource[] = [];

function keep<Source extends ByteSource>(source: Source): Source {
  opened.push(source);
  return source;
}

afterEach(() => {
  for (const { address } of opened.splice(0)) ssl.BIO_free(address);
});

/** What OpenSSL reads, up to `most` bytes; null when it is told to ask for more. */
function read({ address }: ByteSource, most: number): Buffer | null {
  const bytes = Buffer.alloc(most);
  const length = ssl.BIO_read(address, bytes, most);
  return length === -1 ? null : bytes.subarray(0, length);
}

const sources = { 'in place': () => openByteSource(ssl), 'by copies': () => new CopyingSource(ssl) };

describe.each(Object.entries(sources))('bytes are read %s', (_, open) => {
  it('whole, in parts, and from any place of their memory', () => {
    const source = keep(open());
    const memory = randomBytes(100_000);
    for (const [from, to] of [
      [0, 100_000],
      [1, 2],
      [70_001, 90_000],
      [5, 5],
    ] as const) {
      const bytes = memory.subarray(from, to);
      expect(source.offer(bytes)).toBe(true);
      const got: Buffer[] = [];
      for (let part = read(source, 33_333); part !== null; part = read(source, 33_333)) got.push(part);
      expect(Buffer.concat(got).equals(bytes)).toBe(true);
    }
  });

  it('not behind a clear()', () => {
    const source = keep(open());
    source.offer(Buffer.from('dropped'));
    expect(read(source, 4)?.toString()).toBe('drop');
    source.clear();
    expect(read(source, 4)).toBeNull();
    source.offer(Buffer.from('next'));
    expect(read(source, 10)?.toString()).toBe('next');
  });
});

describe('in place', () => {
  it('is the way of this OpenSSL', () => {
    expect(keep(openByteSource(ssl))).toBeInstanceOf(InPlaceSource);
  });

  it('sees bytes where they lie', () => {
    const source = keep(openByteSource(ssl));
    const bytes = Buffer.from('first');
    source.offer(bytes);
    bytes.write('other');
    expect(read(source, 5)?.toString()).toBe('other');
  });

  it('reads nothing of memory that was taken away', () => {
    const source = keep(openByteSource(ssl));
    const bytes = Buffer.from(new ArrayBuffer(100));
    source.offer(bytes);
    expect(read(source, 100)).toHaveLength(100);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    source.offer(bytes);
    expect(read(source, 100)).toBeNull();
  });

  it('takes no number from an array that lies about itself', () => {
    const source = keep(openByteSource(ssl));
    const bytes = Buffer.from(new ArrayBuffer(8));
    Object.defineProperties(bytes, {
      length: { value: 1000 },
      byteOffset: { value: 5000 },
      buffer: { value: Buffer.alloc(1).buffer },
    });
    source.offer(bytes);
    expect(read(source, 2000)).toEqual(Buffer.alloc(8));
  });

  it('keeps the memory of bytes that nothing else keeps', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const source = keep(openByteSource(ssl));
    const offered = (() => {
      const bytes = Buffer.alloc(300_000, 'k');
      source.offer(bytes);
      return new WeakRef(bytes.buffer);
    })();
    // A reference that was just made, or read, keeps its object until the end of the job.
    for (let i = 0; i < 3; i++) {
      await setImmediate();
      collect();
    }
    expect(offered.deref()).toBeDefined();
    expect(read(source, 300_000)?.equals(Buffer.alloc(300_000, 'k'))).toBe(true);
  });

  it('refuses bytes while others are unread, which are dropped', () => {
    const source = keep(openByteSource(ssl));
    source.offer(Buffer.from('of another'));
    expect(() => source.offer(Buffer.from('mine'))).toThrow('OpenSSL has not read all bytes of the packet before');
    expect(read(source, 4)).toBeNull();
    source.offer(Buffer.from('mine'));
    expect(read(source, 4)?.toString()).toBe('mine');
  });
});

describe('a trial that fails makes it copy', () => {
  /** Memory that the false BUF_MEM lies in. */
  const words = new BigUint64Array(3);

  function falseBufMem(set: (words: BigUint64Array) => void): OpenSsl {
    return {
      ...ssl,
      BIO_ctrl: (bio, command, number, pointer) => {
        const result = ssl.BIO_ctrl(bio, command, number, pointer);
        if (command !== BIO_C_GET_BUF_MEM_PTR) return result;
        words.set([24n, 0n, 24n]);
        set(words);
        pointer!.writeBigUInt64LE(koffi().address(words));
        return result;
      },
    };
  }

  it.each<[string, OpenSsl]>([
    ['other fields', falseBufMem((words) => words.reverse())],
    ['another address', falseBufMem((words) => words.set([1n], 1))],
    ['no BUF_MEM', { ...ssl, BIO_ctrl: () => 0 }],
    ['reads other bytes', { ...ssl, BIO_read: (_bio, _to, length) => Math.min(length, 7) }],
    ['says that the stream has ended', { ...ssl, BIO_read: () => 0 }],
  ])('%s', (_, other) => {
    const source = keep(openByteSource(other));
    expect(source).toBeInstanceOf(CopyingSource);
    source.offer(Buffer.from('copied'));
    expect(read(source, 10)?.toString()).toBe('copied');
  });
});
