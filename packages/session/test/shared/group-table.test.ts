// Groups in shared memory: against a model, at their limits, and after the end of a thread that held the lock.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createGroupMemory, GroupTable } from '../../src/shared/memory/group-table.js';
import { startThread } from './threads.js';

const LIMITS = { slots: 70, groups: 3 };
const NAMES = ['', 'room', '방', 'room2', 'x'.repeat(1024)];
const LOCK = 0;

function members(table: GroupTable, name: string): number[] {
  const slots: number[] = [];
  table.list(name);
  for (let slot = table.nextMember(0); slot >= 0; slot = table.nextMember(slot + 1)) slots.push(slot);
  return slots;
}

// At the ends of words. They are few, so that groups become empty.
const slot = fc.constantFrom(0, 31, 32, LIMITS.slots - 1);
const thread = fc.nat(1);
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('join' as const), thread, slot, name: fc.constantFrom(...NAMES) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('leave' as const), thread, slot, name: fc.constantFrom(...NAMES) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), thread, slot, name: fc.constant('') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), thread, slot, name: fc.constant('') }) },
);

test('groups have the members that joined and did not leave', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const memory = createGroupMemory(LIMITS);
      const threads = [0, 1].map(() => new GroupTable(memory, LIMITS, () => 0)) as [GroupTable, GroupTable];
      const model = new Map<string, Set<number>>();
      const leave = (name: string, slot: number) => {
        const group = model.get(name);
        if (group?.delete(slot) && group.size === 0) model.delete(name);
      };
      for (const { kind, thread, slot, name } of steps) {
        const table = threads[thread]!;
        if (kind === 'join') {
          if (model.size === LIMITS.groups && !model.has(name)) {
            expect(() => table.join(slot, name)).toThrow(
              'Cannot join a group: all 3 groups are in use (ENOBUFS, join)',
            );
            continue;
          }
          table.join(slot, name);
          const group = model.get(name);
          if (group) group.add(slot);
          else model.set(name, new Set([slot]));
        } else if (kind === 'leave') {
          table.leave(slot, name);
          leave(name, slot);
        } else if (kind === 'end') {
          table.leaveAll(slot);
          for (const known of [...model.keys()]) leave(known, slot);
        } else {
          // A thread ended inside the lock, with the counts in disorder.
          const words = new Int32Array(memory);
          words[LOCK] = 78;
          const [groups, slots] = [words[1]!, words[2]!];
          words.fill(0, 4, 4 + slots);
          for (let i = 0; i < groups; i++) words[4 + LIMITS.slots + i * 4] = 1000;
          table.recover(76);
          expect(words[LOCK]).toBe(78);
          table.recover(77);
          expect(words[LOCK]).toBe(0);
        }
        for (const name of NAMES) {
          const expected = [...(model.get(name) ?? [])].sort((one, other) => one - other);
          expect(members(threads[0], name)).toEqual(expected);
        }
      }
    }),
    { numRuns: 100 },
  );
});

test('a name may have 1,024 bytes', () => {
  const table = new GroupTable(createGroupMemory(LIMITS), LIMITS, () => 0);
  const name = '방'.repeat(342);
  for (const act of [() => table.join(1, name), () => table.leave(1, name), () => table.list(name)]) {
    expect(act).toThrow("a group's name has at most 1024 bytes");
  }
});

test('a list is what the group was when it was made', () => {
  const table = new GroupTable(createGroupMemory(LIMITS), LIMITS, () => 0);
  table.join(3, 'room');
  table.list('room');
  table.leave(3, 'room');
  table.join(5, 'other');
  expect([table.nextMember(0), table.nextMember(4)]).toEqual([3, -1]);
});

test('while a thread that has ended holds the lock, a change fails and says so, and the end of a session waits', () => {
  const memory = createGroupMemory(LIMITS);
  const table = new GroupTable(memory, LIMITS, () => 0);
  table.join(3, 'room');
  new Int32Array(memory)[LOCK] = 78;
  expect(() => table.join(4, 'room')).toThrow(
    'Cannot join a group: the thread that holds the lock of the groups has ended',
  );
  expect(table.leaveAll(3)).toBe(false);
  // In no group, so that there is nothing to wait for.
  expect(table.leaveAll(5)).toBe(true);
  table.recover(77);
  expect(members(table, 'room')).toEqual([3]);
  expect(table.leaveAll(3)).toBe(true);
});

test('a list has the generations of its members at the time', () => {
  const generations = [7, 8, 9];
  const table = new GroupTable(createGroupMemory(LIMITS), LIMITS, (slot) => generations[slot]!);
  table.join(0, 'room');
  table.join(2, 'room');
  table.list('room');
  generations[2] = 10;
  expect([table.generation(0), table.generation(2)]).toEqual([7, 9]);
});

test('the counts that a thread left in disorder are counted anew: groups without members are free', () => {
  const memory = createGroupMemory(LIMITS);
  const table = new GroupTable(memory, LIMITS, () => 0);
  for (const name of ['a', 'b', 'c']) table.join(1, name);
  const words = new Int32Array(memory);
  words[LOCK] = 78;
  words[4 + LIMITS.slots] = 1000;
  table.recover(77);
  table.leaveAll(1);
  for (const name of ['d', 'e', 'f']) table.join(1, name);
  expect(members(table, 'd')).toEqual([1]);
});

test('threads that join and leave at once, and are terminated, leave a table in order', async () => {
  const memory = createGroupMemory(LIMITS);
  const table = new GroupTable(memory, LIMITS, () => 0);
  const names = ['one', 'two', 'three'];
  for (let round = 0; round < 4; round++) {
    const kept = [60, 64 + round];
    for (const slot of kept) table.join(slot, 'one');
    const crews = [
      [0, 1, 2],
      [10, 40, 50],
      [30, 31, 32],
    ];
    const threads = crews.map((slots) => startThread('mingle', { memory, limits: LIMITS, slots, names }));
    for (const [index, { started, worker }] of threads.entries()) {
      await started;
      const { threadId } = worker;
      await worker.terminate();
      table.recover(threadId);
      for (const slot of crews[index]!) table.leaveAll(slot);
    }
    expect(members(table, 'one')).toEqual(kept);
    expect([members(table, 'two'), members(table, 'three')]).toEqual([[], []]);
    for (const slot of kept) table.leaveAll(slot);
    // No count was left behind: all groups are free.
    for (const name of ['a', 'b', 'c']) table.join(1, name);
    table.leaveAll(1);
  }
});
