// What stands between a caller's mistake and the kernel: addresses, lengths and ranges that are none are refused where they
// come in, before anything was started. docs/SAFETY.md lists the guards.

import { AssertionError } from 'node:assert';
import { describe, expect, it } from 'vitest';
import { reap } from '../src/backend.js';
import {
  type CompletionPort,
  candidates,
  createBatch,
  type Endpoint,
  EVENT_SIZE,
  endpoint,
  GatherList,
  MAX_GATHER,
  Operation,
  type Overlapped,
  openPort,
} from '../src/index.js';
import { IOVEC, MSGHDR } from '../src/linux/layout.js';
import { ARGUMENTS } from '../src/linux/messages.js';
import { Owned } from '../src/native/ledger.js';
import { BlockStore, blockAt, plainMemory } from '../src/native/memory.js';
import { isShared, shareBlock } from '../src/native/shared-blocks.js';
import { SOCKADDR_SIZE, writeSockaddr } from '../src/native/sockaddr.js';
import { createSimulation } from '../src/testing/index.js';
import { ACCEPT_ADDRESS_SIZE, EVENT_ADDRESSES, EVENT_BUFFERS, OVERLAPPED, WSABUF } from '../src/win32/layout.js';

const odd = [-1, 0.5, Number.NaN, 2 ** 31, 2 ** 32, Number.POSITIVE_INFINITY];
const block = new BlockStore(plainMemory).take(4096);

describe('a gather list', () => {
  it.each(odd)('refuses a piece that begins or is as long as %s', (number) => {
    const list = new GatherList();
    expect(() => list.add(block, number, 1)).toThrow(AssertionError);
    expect(() => list.add(block, 0, number)).toThrow(AssertionError);
    expect([list.count, list.bytes]).toEqual([0, 0]);
  });

  it('takes what its block has, and not a byte more', () => {
    const list = new GatherList();
    expect(list.add(block, 4095, 1)).toBe(true);
    expect(list.add(block, 4096, 0)).toBe(true);
    expect(() => list.add(block, 4095, 2)).toThrow(AssertionError);
  });
});

it.each([...odd.filter((size) => !Number.isInteger(size)), -1, 0])('no block has %s bytes', (bytes) => {
  expect(() => new BlockStore(plainMemory).take(bytes)).toThrow(AssertionError);
});

const bad: Endpoint[] = [
  { address: '1.2.3.4.'.repeat(100), family: 4, port: 1 },
  { address: '::1', family: 4, port: 1 },
  { address: '127.0.0.1', family: 6, port: 1 },
  { address: 'fe80::1%', family: 6, port: 1 },
  { address: 'fe80::1%a/b', family: 6, port: 1 },
  { address: '127.0.0.1%lo', family: 4, port: 1 },
  { address: '127.0.0.1', family: 5 as 4, port: 1 },
  ...[-1, 65536, 1.5, Number.NaN].map((port): Endpoint => ({ address: '127.0.0.1', family: 4, port })),
];

it.each(bad)('a sockaddr is not written of %j', (at) => {
  const memory = Buffer.alloc(SOCKADDR_SIZE * 4);
  expect(() => writeSockaddr(at, memory, 0, 10)).toThrow(AssertionError);
  expect(memory.every((byte) => byte === 0)).toBe(true);
});

it('what an operation writes into its event ends where the event does', () => {
  expect(EVENT_BUFFERS).toBeGreaterThanOrEqual(OVERLAPPED.size);
  expect(EVENT_BUFFERS + MAX_GATHER * WSABUF.size).toBeLessThanOrEqual(EVENT_ADDRESSES);
  expect(EVENT_ADDRESSES + 2 * ACCEPT_ADDRESS_SIZE).toBeLessThanOrEqual(EVENT_SIZE);
  expect(EVENT_ADDRESSES + SOCKADDR_SIZE + 4).toBeLessThanOrEqual(EVENT_SIZE);
  const iovecs = EVENT_SIZE - MAX_GATHER * IOVEC.size;
  expect(ARGUMENTS + MSGHDR.size).toBeLessThanOrEqual(iovecs);
});

it('no ledger is reaped but one that this thread has made', () => {
  const forged = new SharedArrayBuffer(7 * Float64Array.BYTES_PER_ELEMENT);
  new Float64Array(forged).set([-1, Owned.Block, 4096, 4096]);
  expect(() => reap(forged)).toThrow(AssertionError);
  expect(new Float64Array(forged)[1]).toBe(Owned.Block);
});

it('no address is viewed but that of a block which was shared', () => {
  for (const [address, size] of [
    [4096, 4096],
    [0, 0],
    [-1, 1],
    [Number.NaN, 4096],
  ] as const) {
    expect(() => blockAt(address, size)).toThrow(AssertionError);
  }
  const port = createSimulation({ seed: 1 }).openPort();
  const shared = port.allocate(4096);
  shareBlock(shared);
  expect(isShared(shared.address, shared.size)).toBe(true);
  expect(isShared(shared.address + 4096, shared.size)).toBe(false);
  expect(isShared(shared.address, shared.size * 2)).toBe(false);
  // The list grows, and what is shared twice is there once.
  const many = Array.from({ length: 600 }, () => port.allocate(1));
  for (const each of [...many, ...many]) shareBlock(each);
  expect(many.every(({ address, size }) => isShared(address, size))).toBe(true);
});

for (const { name, availability } of candidates()) {
  describe.skipIf(!availability.available)(`${name} (${availability.available || availability.reason})`, () => {
    let tag = 1;
    const eventOf = (port: CompletionPort): Overlapped => ({
      block: port.allocate(EVENT_SIZE),
      offset: 0,
      tag: tag++,
      pending: false,
    });

    it('a file has no range of negative or endless length, and what is refused was not started', async () => {
      const port = openPort({ backend: name });
      const listener = await port.listen(endpoint('127.0.0.1', 0));
      const event = eventOf(port);
      const socket = port.connect(event, listener.localEndpoint(), null);
      await until(port, Operation.Connect);
      for (const number of [...odd, 0])
        expect(() => port.sendFile(socket, event, 0, 0, number)).toThrow(AssertionError);
      for (const number of [-1, 0.5, Number.NaN]) {
        expect(() => port.sendFile(socket, event, 0, number, 1)).toThrow(AssertionError);
      }
      expect([event.pending, port.stats.inFlight]).toEqual([false, 0]);
      port.destroy();
    });

    it('what is no handle is not adopted', () => {
      const port = openPort({ backend: name });
      for (const number of [-1, 0.5, Number.NaN, 2 ** 53]) {
        expect(() => port.adopt(number)).toThrow(AssertionError);
      }
      expect(port.stats.sockets).toBe(0);
      port.destroy();
    });

    it('a datagram to what is no address is refused, and nothing is in flight', async () => {
      const port = openPort({ backend: name });
      const socket = await port.bind(endpoint('127.0.0.1', 0));
      const event = eventOf(port);
      for (const to of bad) {
        expect(() => port.sendTo(socket, event, new GatherList(), to)).toThrow(AssertionError);
      }
      expect([event.pending, port.stats.inFlight]).toEqual([false, 0]);
      port.destroy();
    });

    it('an event that is with the kernel serves no second operation', async () => {
      const port = openPort({ backend: name });
      const listener = await port.listen(endpoint('127.0.0.1', 0));
      const event = eventOf(port);
      port.accept(listener, event);
      const before = port.stats.sockets;
      expect(() => port.accept(listener, event)).toThrow(AssertionError);
      expect(() => port.connect(event, listener.localEndpoint(), null)).toThrow(AssertionError);
      expect(port.stats.sockets).toBe(before);
      port.destroy();
    });
  });
}

/** Dequeues until a packet of this operation has come. */
async function until(port: CompletionPort, operation: Operation): Promise<void> {
  const batch = createBatch(8);
  for (;;) {
    const n = port.dequeue(batch, 0);
    if (batch.slice(0, n).some((packet) => packet.operation === operation)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
