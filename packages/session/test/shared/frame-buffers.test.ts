// Frame buffers and the cutter of shared sessions: against FrameReader, at the end of the memory, and after a thread's end.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameReader } from '../../src/framing/frame-reader.js';
import { delimited, encodeFrame, lengthPrefixed } from '../../src/index.js';
import { FrameCutter } from '../../src/shared/frame-cutter.js';
import { Blocks, blockWords } from '../../src/shared/memory/blocks.js';
import { FrameBuffers } from '../../src/shared/memory/frame-buffers.js';
import { kinds } from '../framing/kinds.js';

const BLOCK = 8;
const BLOCKS = 200;
const SLOTS = 3;
/** The words of a slot: its frame buffer, and those that the cutter has behind it. */
const WIDTH = 6;

/** The threads of one memory. */
function createThreads(count: number, blocks = BLOCKS) {
  const words = new Int32Array(new SharedArrayBuffer((SLOTS * WIDTH + blockWords(blocks)) * 4));
  const bytes = new Uint8Array(new SharedArrayBuffer(blocks * BLOCK));
  return Array.from({ length: count }, () => {
    const all = new Blocks({ words, at: SLOTS * WIDTH, bytes, blockSize: BLOCK });
    const buffers = new FrameBuffers(all, words);
    return { words, blocks: all, buffers, cutter: new FrameCutter(buffers, words) };
  });
}

type Thread = ReturnType<typeof createThreads>[number];

/** Adds a piece, and takes up to `most` frames; the rest is kept. Gives them, or what was thrown. */
function take({ cutter }: Thread, slot: number, framer: (typeof kinds)[number]['framer'], piece: Buffer, most: number) {
  const at = slot * WIDTH;
  const frames: string[] = [];
  cutter.add(Buffer.from(piece));
  for (; frames.length < most; ) {
    const frame = cutter.next(slot, at, framer);
    if (frame === null) return frames;
    frames.push(frame.toString('hex'));
  }
  cutter.keepRest(slot, at);
  return frames;
}

test.each(kinds)('$name: any bytes give what one reader gives, whichever threads take them', ({ framer }) => {
  const step = fc.record({
    thread: fc.nat(1),
    bytes: fc.uint8Array({ maxLength: 60 }),
    most: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const threads = createThreads(2, 2000);
      const reader = new FrameReader(framer);
      const expected: string[] = [];
      const frames: string[] = [];
      let failed: unknown;
      try {
        for (const { bytes } of steps) {
          reader.add(Buffer.from(bytes));
          for (let frame = reader.next(); frame !== null; frame = reader.next()) expected.push(frame.toString('hex'));
        }
      } catch (error) {
        failed = error;
      }
      try {
        for (const { thread, bytes, most } of steps) {
          frames.push(...take(threads[thread]!, 1, framer, Buffer.from(bytes), most));
          // Frames that are kept come before the next bytes, in any thread.
          while (threads[0]!.cutter.waits(WIDTH)) {
            frames.push(...take(threads[1 - thread]!, 1, framer, Buffer.alloc(0), most));
          }
        }
        expect(failed).toBeUndefined();
        expect(threads[0]!.buffers.lengthOf(WIDTH) > 0).toBe(reader.partialFrame > 0);
      } catch (error) {
        expect(error).toEqual(failed);
      }
      // Where a stream fails, whole frames of the same piece may have been given or not.
      if (failed === undefined) expect(frames).toEqual(expected);
      else expect(expected.slice(0, frames.length)).toEqual(frames);
      threads[0]!.buffers.clear(WIDTH);
      expect(threads[0]!.blocks.used).toBe(0);
    }),
  );
});

test('a frame that comes byte by byte is moved to a longer run a few times', () => {
  const [one] = createThreads(1, 1000);
  const framer = delimited('\n');
  const starts = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    expect(take(one!, 0, framer, Buffer.from('x'), 1)).toEqual([]);
    starts.add(one!.words[0]!);
  }
  expect(starts.size).toBeLessThan(11);
  expect(take(one!, 0, framer, Buffer.from('\n'), 1)).toEqual([Buffer.alloc(1000, 'x').toString('hex')]);
  expect(one!.blocks.used).toBe(0);
});

test('a half frame that finds no memory ends with ENOBUFS, and the others keep theirs', () => {
  const [one] = createThreads(1, 14);
  const framer = lengthPrefixed({ size: 2 });
  const half = encodeFrame(framer, Buffer.alloc(60)).subarray(0, 40);
  take(one!, 0, framer, half, 1);
  expect(one!.blocks.used).toBe(5);
  expect(() => take(one!, 1, framer, encodeFrame(framer, Buffer.alloc(120)).subarray(0, 80), 1)).toThrow(
    'Cannot read a frame: too many bytes of half frames wait already (ENOBUFS, receive)',
  );
  expect(one!.blocks.used).toBe(5);
  expect(take(one!, 0, framer, Buffer.alloc(22), 1)).toEqual([Buffer.alloc(60).toString('hex')]);
  take(one!, 1, framer, half, 1);
  expect(one!.blocks.used).toBe(5);
});

test('a run that is not to be had twice as long is taken as long as it must be', () => {
  const [one] = createThreads(1, 14);
  const framer = delimited('\n');
  for (let i = 0; i < 40; i++) expect(take(one!, 0, framer, Buffer.from('x'), 1)).toEqual([]);
  // Moving needs both runs for a moment: of 32 bytes to 40, as there is no room for 64 beside them.
  expect(one!.blocks.used).toBe(5);
});

test('the blocks of a buffer whose thread has ended are free, those of others are not', () => {
  const [one] = createThreads(1);
  const framer = lengthPrefixed({ size: 2 });
  for (const slot of [0, 1]) take(one!, slot, framer, encodeFrame(framer, Buffer.alloc(60)).subarray(0, 40), 1);
  // A run that the thread had taken, and no buffer had yet.
  one!.blocks.takeRun(3, -1);
  one!.buffers.reclaim(0, 0);
  expect(one!.blocks.used).toBe(5);
  expect([one!.buffers.lengthOf(0), one!.buffers.lengthOf(WIDTH)]).toEqual([0, 40]);
});

test('a run lies in one piece, wherever the search begins', () => {
  const [one] = createThreads(1, 12);
  const { blocks } = one!;
  const runs = [3, 3, 3, 3].map((count) => blocks.takeRun(count, 1));
  expect(runs).toEqual([0, 3, 6, 9]);
  blocks.giveRun(0, 3);
  blocks.giveRun(6, 3);
  blocks.giveRun(9, 3);
  expect(blocks.takeRun(7, 1)).toBe(-1);
  expect(blocks.used).toBe(3);
  expect(blocks.takeRun(6, 1)).toBe(6);
  expect(blocks.takeRun(3, 1)).toBe(0);
  expect(blocks.takeRun(1, 1)).toBe(-1);
});
