// ReceiveBuffers and FreeList against counting by hand.

import { AssertionError } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { strideOf } from '../src/debug.js';
import { BlockStore, plainMemory } from '../src/native/memory.js';
import { FreeList, ReceiveBuffers } from '../src/port/receive-buffers.js';

const [COUNT, SIZE] = [4, 64];

function open(): ReceiveBuffers {
  return new ReceiveBuffers(new BlockStore(plainMemory).take(ReceiveBuffers.bytesFor(COUNT, SIZE)), COUNT, SIZE);
}

describe('ReceiveBuffers', () => {
  it('counts references, and says when the last one goes', () => {
    const slot = fc.integer({ min: 0, max: COUNT - 1 });
    const step = fc.tuple(fc.constantFrom('take', 'retain', 'release'), slot);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const buffers = open();
        const references = new Array<number>(COUNT).fill(0);
        for (const [what, index] of steps) {
          const count = references[index]!;
          if (what === 'take') {
            // The kernel fills free slots only.
            if (count > 0) continue;
            buffers.take(index, 1);
            references[index] = 1;
          } else if (count === 0) {
            expect(() => buffers[what as 'retain' | 'release'](index)).toThrow(AssertionError);
          } else if (what === 'retain') {
            buffers.retain(index);
            references[index] = count + 1;
          } else {
            expect(buffers.release(index)).toBe(count === 1);
            references[index] = count - 1;
          }
          expect(buffers.out).toBe(references.filter((n) => n > 0).length);
        }
      }),
    );
  });

  it('gives views of the slot, of the length asked for', () => {
    const buffers = open();
    for (const length of [10, 10, SIZE, 1]) {
      const view = buffers.take(2, length);
      expect(view.length).toBe(length);
      expect(buffers.placeOf(view)).toBe(2 * strideOf(SIZE));
      buffers.release(2);
    }
  });

  it('knows where bytes start, with and without their slot', () => {
    const buffers = open();
    const start = 2 * strideOf(SIZE);
    const whole = buffers.take(2, SIZE);
    const part = buffers.takePart(2, 8, SIZE - 8);
    for (const slot of [undefined, 2, 1]) {
      expect(buffers.placeOf(whole, slot)).toBe(start);
      expect(buffers.placeOf(part, slot)).toBe(start + 8);
      expect(buffers.placeOf(part.subarray(3), slot)).toBe(start + 11);
      expect(buffers.placeOf(Buffer.alloc(1), slot)).toBe(-1);
    }
  });

  it('knows which slot bytes lie in', () => {
    const buffers = open();
    const view = buffers.take(3, SIZE);
    expect(buffers.indexOf(view)).toBe(3);
    expect(buffers.indexOf(view.subarray(SIZE - 1))).toBe(3);
    expect(buffers.indexOf(Buffer.alloc(1))).toBe(-1);
  });
});

describe('FreeList', () => {
  it('is a stack that begins full', () => {
    const list = new FreeList(3);
    expect([list.pop(), list.pop(), list.pop(), list.pop()]).toEqual([0, 1, 2, -1]);
    list.push(1);
    list.push(0);
    expect([list.pop(), list.pop(), list.pop()]).toEqual([0, 1, -1]);
  });
});
