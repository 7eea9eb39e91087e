// The shared messages against a model: whatever threads do, and whichever of them is lost, a message keeps its bytes while it has
// references, and its space comes back when it has none.

import { createSimulation } from '@overlapped/iocp-native/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createControl, MEMORY_SIZE, SharedMessages } from '../src/workers/shared-messages.js';

const THREADS = 3;
const block = createSimulation({ seed: 1 }).openPort().allocate(MEMORY_SIZE);

type Step =
  | { readonly kind: 'publish'; readonly thread: number; readonly length: number }
  | { readonly kind: 'use' | 'release'; readonly thread: number; readonly pick: number }
  | { readonly kind: 'forget'; readonly thread: number };

const thread = fc.nat(THREADS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('publish' as const), thread, length: fc.nat(MEMORY_SIZE / 16) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('use' as const), thread, pick: fc.nat() }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('release' as const), thread, pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), thread }) },
);

/** What a message should be: its bytes are all `letter`, and each thread uses it so many times. */
interface Expected {
  readonly letter: number;
  readonly length: number;
  readonly uses: number[];
}

test('messages keep their bytes while they are held, and give their room back', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const control = createControl(THREADS);
      const open = (index: number) => new SharedMessages(control, block, index, index);
      const all = Array.from({ length: THREADS }, (_, index) => open(index));
      const model = new Map<number, Expected>();
      let letter = 0;

      const settle = (message: number) => {
        if (model.get(message)!.uses.every((uses) => uses === 0)) model.delete(message);
      };
      for (const action of steps) {
        const messages = all[action.thread]!;
        if (action.kind === 'publish') {
          letter = (letter + 1) % 256;
          const message = messages.publish(Buffer.alloc(action.length, letter));
          if (message < 0) continue;
          expect(model.has(message)).toBe(false);
          model.set(message, { letter, length: action.length, uses: all.map(() => 1) });
          for (const other of all) {
            if (other === messages) continue;
            messages.retainFor(message, other.threadIndex);
            expect(other.accept(messages.ticketOf(message))).toBe(message);
          }
        } else if (action.kind === 'forget') {
          // Its thread is no more, and another takes its place.
          messages.releaseAll(action.thread, action.thread);
          all[action.thread] = open(action.thread);
          for (const [message, { uses }] of model) {
            uses[action.thread] = 0;
            settle(message);
          }
        } else {
          const used = [...model].filter(([, { uses }]) => uses[action.thread]! > 0);
          if (used.length === 0) continue;
          const [message, { uses }] = used[action.pick % used.length]!;
          if (action.kind === 'use') messages.retain(message);
          else messages.release(message);
          uses[action.thread]! += action.kind === 'use' ? 1 : -1;
          settle(message);
        }
        expect(messages.out).toBe(model.size);
        for (const [message, { letter: expected, length }] of model) {
          expect(messages.lengthOf(message)).toBe(length);
          const at = messages.offsetOf(message);
          expect(length === 0 || (block.bytes[at] === expected && block.bytes[at + length - 1] === expected)).toBe(
            true,
          );
        }
      }
      for (let index = 0; index < THREADS; index++) all[index]!.releaseAll(index, index);
      // All of the room, in the largest pieces, by one who begins at the start.
      const last = open(0);
      const pieces = Array.from({ length: 16 }, () => last.publish(Buffer.alloc(MEMORY_SIZE / 16)));
      expect(pieces.every((message) => message >= 0)).toBe(true);
      expect(last.publish(Buffer.alloc(1))).toBe(-1);
    }),
    { numRuns: 60 },
  );
});

test('what sends may keep is half of it: whatever they keep, messages of any size are published', () => {
  const control = createControl(2);
  const [one, two] = [0, 1].map((thread) => new SharedMessages(control, block, thread, thread)) as [
    SharedMessages,
    SharedMessages,
  ];
  const sizes = [
    [1, 1100],
    [60_000, 300],
    [MEMORY_SIZE / 16, 40],
  ] as const;
  for (const [length, times] of sizes) {
    let kept = 0;
    // Sends keep each message that they may; the others are copied, and delivered messages are let go.
    for (let i = 0; i < times; i++) {
      const message = one.publish(Buffer.alloc(length));
      expect(message).toBeGreaterThanOrEqual(0);
      one.retainFor(message, 1);
      expect(two.accept(one.ticketOf(message))).toBe(message);
      if (two.mayKeep(message)) {
        two.retain(message);
        kept++;
      }
      one.release(message);
      two.release(message);
    }
    expect(kept).toBeGreaterThan(0);
    expect(one.out).toBe(kept);
    two.releaseAll(1, 1);
    expect(one.out).toBe(0);
  }
});

test('a copy is of the message that is delivered, also when its place served another before', () => {
  const messages = new SharedMessages(createControl(1), block, 0, 0);
  for (const text of ['first', 'second', 'third']) {
    const message = messages.publish(Buffer.from(text));
    const copy = messages.copyOf(message, messages.offsetOf(message), text.length);
    expect(String(Buffer.from(copy))).toBe(text);
    expect(messages.copyOf(message, messages.offsetOf(message), text.length)).toBe(copy);
    messages.release(message);
  }
});

test('a thread that does not run holds nothing but what it has accepted, and is told of nothing', () => {
  const control = createControl(2);
  const [one, two] = [0, 1].map((thread) => new SharedMessages(control, block, thread, thread)) as [
    SharedMessages,
    SharedMessages,
  ];
  const tell = () => {
    const message = one.publish(Buffer.from('a'));
    const told = one.retainFor(message, 1);
    one.release(message);
    return { message, ticket: one.ticketOf(message), told };
  };
  const accepted = tell();
  two.accept(accepted.ticket);
  const missed = Array.from({ length: 500 }, tell);
  expect(one.out).toBe(501);
  one.exclude(1);
  expect(one.out).toBe(1);
  expect(tell().told).toBe(false);
  one.include(1);
  // The places of what was taken back serve again, and the old tickets open none of them.
  const later = Array.from({ length: 500 }, tell);
  for (const { ticket } of missed) expect(two.accept(ticket)).toBe(-1);
  for (const { ticket, message } of later) {
    expect(two.accept(ticket)).toBe(message);
    two.release(message);
  }
  two.release(accepted.message);
  expect(one.out).toBe(0);
});

test('a thread that ended inside the lock stops nobody', () => {
  const control = createControl(2);
  const [one, two] = [new SharedMessages(control, block, 0, 10), new SharedMessages(control, block, 1, 11)];
  new Int32Array(control, 0, 1)[0] = 12 + 1;
  expect(one.publish(Buffer.from('a'))).toBe(-1);
  one.releaseAll(1, 12);
  expect(one.publish(Buffer.from('a'))).toBeGreaterThanOrEqual(0);
  expect(two.publish(Buffer.from('b'))).toBeGreaterThanOrEqual(0);
});
