// PacketQueue against an array.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CompletionPacket, Operation, type PortSocket } from '../src/contract/port.js';
import { PacketQueue } from '../src/port/packet-queue.js';

it('is a queue, through any growth', () => {
  // Runs of pushes and shifts, long enough to wrap and to grow.
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -100, max: 100 }), { maxLength: 40 }), (runs) => {
      const queue = new PacketQueue();
      const model: number[] = [];
      const packet = new CompletionPacket();
      let next = 0;
      for (const run of runs) {
        for (let i = 0; i < run; i++) {
          queue.push().bytes = next;
          model.push(next++);
        }
        for (let i = 0; i > run && model.length > 0; i--) {
          queue.shift(packet);
          expect(packet.bytes).toBe(model.shift());
        }
        expect(queue.length).toBe(model.length);
      }
    }),
  );
});

it('copies every field and gives the origin, and a record is as new afterwards', () => {
  const queue = new PacketQueue();
  const origin = {} as PortSocket;
  const into = new CompletionPacket();
  const pushed = queue.push(origin);
  const fields = { key: 'k', bytes: 5, data: Buffer.from('x'), buffer: 3, operation: Operation.Receive };
  Object.assign(pushed, fields);
  expect(queue.shift(into)).toBe(origin);
  expect(into).toMatchObject(fields);
  // Round the ring, to the same record.
  for (let i = 0; i < 63; i++) {
    queue.push();
    queue.shift(into);
  }
  const again = queue.push();
  expect(again).toBe(pushed);
  const { operation: _, ...rest } = again;
  const { operation: __, ...fresh } = new CompletionPacket();
  expect(rest).toEqual(fresh);
  expect(queue.shift(into)).toBeNull();
});
