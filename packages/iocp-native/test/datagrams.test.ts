// The cache of peers' addresses against reading each sockaddr anew.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../src/contract/port.js';
import { BlockStore, plainMemory } from '../src/native/memory.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../src/native/sockaddr.js';
import { NO_ZONE } from '../src/native/zones.js';
import { AddressCache, writeTarget } from '../src/port/datagrams.js';

const AF_INET6 = 10;
const block = new BlockStore(plainMemory).take(4096);
const AT = 48;
const TARGET = 128;

const port = fc.integer({ min: 0, max: 65535 });
// Few addresses and many ports, and the other way round.
const few = fc.record({ address: fc.constantFrom('127.0.0.1', '255.1.2.3'), family: fc.constant(4 as const), port });
const ipv4 = fc.record({ address: fc.ipV4(), family: fc.constant(4 as const), port });
const ipv6 = fc.record({ address: fc.ipV6(), family: fc.constant(6 as const), port });
const endpoints: fc.Arbitrary<Endpoint[]> = fc.array(fc.oneof(few, ipv4, ipv6), { maxLength: 50 });

describe('a zone in a sockaddr', () => {
  it('is a number where no system says otherwise, and no interface for any other zone', () => {
    for (const [zone, scope] of [
      ['7', 7],
      ['eth0', NO_ZONE],
      ['99999999999', NO_ZONE],
    ] as const) {
      writeSockaddr({ address: `fe80::1%${zone}`, family: 6, port: 1 }, block.bytes, AT, AF_INET6);
      expect(block.bytes.readUInt32LE(AT + 24)).toBe(scope);
      expect(readSockaddr(block.bytes, AT).address).toBe(`fe80::1%${scope}`);
    }
  });

  it('is told of a link-local address only', () => {
    writeSockaddr({ address: '2001:db8::1%7', family: 6, port: 1 }, block.bytes, AT, AF_INET6);
    expect(readSockaddr(block.bytes, AT).address).toBe('2001:db8::1');
  });
});

describe('AddressCache', () => {
  const cache = new AddressCache();

  it('gives what the sockaddr says, and the same object when it comes again at once', () => {
    fc.assert(
      fc.property(endpoints, (all) => {
        for (const one of all) {
          writeSockaddr(one, block.bytes, AT, AF_INET6);
          const found = cache.find(block, AT);
          expect(found).toEqual(readSockaddr(block.bytes, AT));
          expect(cache.find(block, AT)).toBe(found);
        }
      }),
    );
  });

  it('gives endpoints that are written as the sockaddr that they came from', () => {
    fc.assert(
      fc.property(endpoints, (all) => {
        for (const one of all) {
          const length = writeSockaddr(one, block.bytes, AT, AF_INET6);
          block.bytes.fill(0xff, TARGET, TARGET + SOCKADDR_SIZE);
          expect(writeTarget(cache.find(block, AT), one.family, block, TARGET, AF_INET6)).toBe(length);
          expect(block.bytes.subarray(TARGET, TARGET + length)).toEqual(block.bytes.subarray(AT, AT + length));
        }
      }),
    );
  });

  it('keeps thousands of addresses', () => {
    const all = Array.from({ length: 2000 }, (_, i) => {
      writeSockaddr({ address: `10.0.${i >> 8}.${i & 255}`, family: 4, port: 1000 + i }, block.bytes, AT, AF_INET6);
      return { bytes: Buffer.from(block.bytes.subarray(AT, AT + SOCKADDR_SIZE)), found: cache.find(block, AT) };
    });
    const kept = all.filter(({ bytes, found }) => {
      block.bytes.set(bytes, AT);
      return cache.find(block, AT) === found;
    });
    // Some share a place with another.
    expect(kept.length).toBeGreaterThan(1000);
  });
});

describe('writeTarget', () => {
  it('names an IPv4 address as an IPv6 socket does, and nothing the other way round', () => {
    expect(writeTarget({ address: '1.2.3.4', family: 4, port: 5 }, 6, block, AT, AF_INET6)).toBe(SOCKADDR_SIZE);
    expect(readSockaddr(block.bytes, AT)).toEqual({ address: '::ffff:1.2.3.4', family: 6, port: 5 });
    expect(writeTarget({ address: '::1', family: 6, port: 5 }, 4, block, AT, AF_INET6)).toBe(0);
  });
});
