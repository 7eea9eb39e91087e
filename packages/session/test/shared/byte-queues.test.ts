// Queues of bytes in shared memory: against a model, by several threads, and with threads that end.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { blockWords } from '../../src/shared/memory/blocks.js';
import { ByteQueues, QUEUE_WORDS } from '../../src/shared/memory/byte-queues.js';
import { startThread } from './threads.js';

const BLOCK = 8;
const BLOCKS = 12;
const QUEUES = 3;
const THREADS = 2;

function createMemory(blocks = BLOCKS, blockSize = BLOCK, queues = QUEUES) {
  const words = new Int32Array(new SharedArrayBuffer((3 + blockWords(blocks)) * 4));
  return {
    words,
    at: 3,
    queues: new Int32Array(new SharedArrayBuffer(queues * QUEUE_WORDS * 4)),
    bytes: new Uint8Array(new SharedArrayBuffer(blocks * blockSize)),
    blockSize,
  };
}

/** All bytes of a queue, which is empty afterwards. */
function drain(all: ByteQueues, queue: number): number[] {
  const into = Buffer.alloc(all.lengthOf(queue));
  all.read(queue, into);
  return [...into];
}

const thread = fc.nat(THREADS - 1);
const queue = fc.nat(QUEUES - 1);
const queueStep = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('append' as const), thread, queue, length: fc.nat(30) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('consume' as const), thread, queue, length: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const), thread, queue, length: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), thread, queue, length: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), thread, queue, length: fc.constant(0) }) },
);

test('queues have the bytes that were appended and not consumed, and use no more blocks than these need', () => {
  fc.assert(
    fc.property(fc.array(queueStep, { maxLength: 120 }), (steps) => {
      const memory = createMemory();
      const threads = Array.from({ length: THREADS }, () => new ByteQueues(memory));
      const model = Array.from({ length: QUEUES }, () => ({ bytes: [] as number[], start: 0 }));
      const blocksOf = ({ bytes, start }: (typeof model)[number]) => Math.ceil((start + bytes.length) / BLOCK);
      const blocks = () => model.reduce((sum, one) => sum + blocksOf(one), 0);
      const remove = (one: (typeof model)[number], length: number) => {
        const removed = one.bytes.splice(0, length);
        one.start = one.bytes.length === 0 ? 0 : (one.start + length) % BLOCK;
        return removed;
      };
      let byte = 0;
      for (const step of steps) {
        const all = threads[step.thread]!;
        const one = model[step.queue]!;
        const at = step.queue * QUEUE_WORDS;
        const length = Math.min(step.length, one.bytes.length);
        if (step.kind === 'append') {
          const data = Uint8Array.from({ length: step.length }, () => byte++ & 0xff);
          const after = { bytes: [...one.bytes, ...data], start: one.start };
          const fits = blocks() - blocksOf(one) + blocksOf(after) <= BLOCKS;
          expect(all.append(at, step.queue + 1, data)).toBe(fits);
          if (fits) one.bytes = after.bytes;
        } else if (step.kind === 'consume') {
          all.consume(at, length);
          remove(one, length);
        } else if (step.kind === 'read') {
          const into = Buffer.alloc(length);
          all.read(at, into);
          expect([...into]).toEqual(remove(one, length));
        } else {
          if (step.kind === 'clear') all.clear(at);
          else {
            all.blocks.reclaim(step.queue + 1);
            memory.queues.fill(0, at, at + QUEUE_WORDS);
          }
          remove(one, one.bytes.length);
        }
        expect(threads[0]!.blocks.used).toBe(blocks());
        for (let i = 0; i < QUEUES; i++) {
          const { bytes, start } = model[i]!;
          const where = i * QUEUE_WORDS;
          expect(all.lengthOf(where)).toBe(bytes.length);
          const head = Math.min(bytes.length, BLOCK - start);
          expect(all.headLength(where)).toBe(head);
          if (head === 0) continue;
          const offset = all.headOffset(where);
          expect([...memory.bytes.subarray(offset, offset + head)]).toEqual(bytes.slice(0, head));
        }
      }
      for (let i = 0; i < QUEUES; i++) expect(drain(threads[0]!, i * QUEUE_WORDS)).toEqual(model[i]!.bytes);
      expect(memory.words.subarray(0, 3).every((word) => word === 0)).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test('bytes whose memory has been taken away are not appended', () => {
  const all = new ByteQueues(createMemory());
  const data = new Uint8Array(40);
  structuredClone(data.buffer, { transfer: [data.buffer] });
  expect(all.append(0, 1, data)).toBe(true);
  expect([all.lengthOf(0), all.blocks.used]).toEqual([0, 0]);
});

test('what a caller can break is asserted: an owner of 0, more bytes than there are, the head of an empty queue', () => {
  const all = new ByteQueues(createMemory());
  expect(() => all.append(0, 0, Buffer.from('a'))).toThrow('blocks without an owner are free ones');
  expect(() => all.consume(0, 1)).toThrow('1 of 0 bytes');
  expect(() => all.headOffset(0)).toThrow('an empty queue has no head');
});

test('threads that append to the same queues and consume from them keep the order of each', async () => {
  const memory = createMemory(16, 64, QUEUES);
  const locks = new Int32Array(new SharedArrayBuffer(QUEUES * 4));
  const count = 3000;
  const producers = [1, 2, 3].map((producer) =>
    startThread('produce', { memory, locks, producer, count, queues: QUEUES }),
  );
  const consumers = [0, 1, 2].map((queue) =>
    startThread('consume', { memory, locks, queue, producers: 3, count: (count / QUEUES) * 3 }),
  );
  await Promise.all(producers.map(({ done }) => done));
  for (const { done } of consumers) expect(await done).toEqual({ wrong: 0, taken: count });
  expect(new ByteQueues(memory).blocks.used).toBe(0);
});

test('blocks of threads that were terminated come back', async () => {
  const memory = createMemory(16, 64, QUEUES);
  const all = new ByteQueues(memory);
  for (let round = 0; round < 5; round++) {
    const threads = [0, 1, 2].map((queue) => startThread('churn', { memory, queue }));
    for (const { started, worker } of threads) {
      await started;
      await worker.terminate();
    }
    for (let queue = 0; queue < QUEUES; queue++) all.blocks.reclaim(queue + 1);
    memory.queues.fill(0);
    // Every block can be taken again, and the pool knows that it has no other.
    expect(all.append(0, 1, Buffer.alloc(16 * 64))).toBe(true);
    expect(all.append(QUEUE_WORDS, 2, Buffer.alloc(1))).toBe(false);
    all.clear(0);
  }
});
