// The table of sends in flight against a Map.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Overlapped } from '../src/contract/port.js';
import { SendsInFlight } from '../src/port/sends-in-flight.js';

/** Names that lie close together, as the tags and the addresses of few events do, and any. */
const few = fc.integer({ min: 0, max: 40 });
const names = fc.oneof(
  few,
  few.map((n) => n << 20),
  few.map((n) => 2 ** 46 + n * 384),
  fc.integer(),
);
/** Adds a send of this name if none is there, and removes it if one is. */
const steps = fc.array(names, { maxLength: 500, size: 'max' });

it('has the sends that were added and not removed', () => {
  fc.assert(
    fc.property(steps, (toggled) => {
      const sends = new SendsInFlight();
      const model = new Map<number, Overlapped>();
      for (const name of toggled) {
        const event = model.get(name);
        expect(sends.has(name)).toBe(event !== undefined);
        if (event === undefined) {
          const fresh = {} as Overlapped;
          model.set(name, fresh);
          sends.add(name, fresh);
        } else {
          expect(sends.remove(name)).toBe(event);
          model.delete(name);
        }
        expect(sends.remove(name + 0.5)).toBeUndefined();
        expect(sends.size).toBe(model.size);
      }
      expect(new Set(sends.values())).toEqual(new Set(model.values()));
      for (const [name, event] of model) expect(sends.remove(name)).toBe(event);
      expect(sends.values()).toEqual([]);
    }),
  );
});

it('has 4,096 sends at once', () => {
  const sends = new SendsInFlight();
  const events = Array.from({ length: 4096 }, () => ({}) as Overlapped);
  for (const [i, event] of events.entries()) sends.add(i * 384, event);
  for (const [i, event] of events.entries()) expect(sends.remove(i * 384)).toBe(event);
  expect(sends.size).toBe(0);
});
