// The gate before a handle that several threads use.

import { expect, it } from 'vitest';
import { Gate } from '../src/port/gate.js';

it('a gate that is closed lets no thread in', () => {
  const gate = new Gate();
  const other = new Gate(gate.memory);
  expect([other.enter(), other.closed]).toEqual([true, false]);
  other.leave();
  expect(gate.close()).toBe(true);
  expect([other.enter(), other.closed]).toEqual([false, true]);
  expect(other.close()).toBe(false);
});

it('a gate waits for the threads that are inside, and wakes them', () => {
  const gate = new Gate();
  gate.enter();
  gate.enter();
  const inside: number[] = [];
  gate.close((count) => {
    inside.push(count);
    gate.leave();
  });
  expect(inside).toEqual([2, 1]);
});

it('a gate does not wait for ever for a thread that was terminated inside', () => {
  const gate = new Gate();
  gate.enter();
  let rounds = 0;
  expect(gate.close(() => rounds++)).toBe(true);
  expect(rounds).toBe(10);
});
