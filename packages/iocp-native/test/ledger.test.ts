// The ledger of a thread against a model: what is recorded, and not struck out, is what the next thread finds.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  closing,
  createLedger,
  disown,
  keepLedger,
  Owned,
  own,
  strike,
  takeRecords,
  write,
} from '../src/native/ledger.js';
import { recordsOf } from './support/threads.js';

// In this order: a thread keeps one ledger, from some time on.
it('records nothing before it is kept', () => {
  own(Owned.Handle, 1);
  expect(write(Owned.Post, 1, 2)).toBe(-1);
  expect(closing(1)).toBe(-1);
  strike(-1);
  disown(Owned.Handle, 1);
});

const ledger = createLedger();

const found = () => recordsOf(ledger).map(({ kind, value, detail }) => `${kind} ${value} ${detail}`);

it('holds what is owned, and nothing else', () => {
  keepLedger(ledger);
  const step = fc.tuple(fc.constantFrom('own', 'disown', 'close', 'closed'), fc.integer({ min: 1, max: 30 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const owned = new Map<string, string>();
      const closes: { text: string; place: number }[] = [];
      for (const [what, value] of steps) {
        if (what === 'own') {
          // The same number twice: a handle and a block are not confused. Once more is the same as once.
          own(Owned.Handle, value, 7);
          own(Owned.Handle, value, 9);
          own(Owned.Block, value, 8);
          owned.set(`handle ${value}`, `${Owned.Handle} ${value} 7`).set(`block ${value}`, `${Owned.Block} ${value} 8`);
        } else if (what === 'disown') {
          disown(Owned.Handle, value);
          owned.delete(`handle ${value}`);
        } else if (what === 'close') {
          const place = closing(value);
          expect(place >= 0).toBe(owned.delete(`handle ${value}`));
          if (place >= 0) closes.push({ text: `${Owned.Closing} ${value} 7`, place });
        } else {
          strike(closes.splice(value, 1)[0]?.place ?? -1);
        }
        expect(found().sort()).toEqual([...owned.values(), ...closes.map(({ text }) => text)].sort());
      }
      for (const { place } of closes) strike(place);
      for (let value = 1; value <= 30; value++) {
        disown(Owned.Handle, value);
        disown(Owned.Block, value);
      }
      expect(found()).toEqual([]);
    }),
  );
});

it('grows with what is owned at a time, not with what comes and goes', () => {
  const { byteLength } = ledger;
  for (let i = 0; i < 5000; i++) {
    own(Owned.Handle, i);
    disown(Owned.Handle, i);
  }
  expect(ledger.byteLength).toBe(byteLength);
  for (let i = 0; i < 5000; i++) own(Owned.Handle, i);
  expect(ledger.byteLength).toBeGreaterThan(byteLength);
  expect(found().length).toBe(5000);
  expect(takeRecords(ledger).length).toBe(5000);
  expect(found()).toEqual([]);
});

it('is kept once', () => {
  expect(() => keepLedger(createLedger())).toThrow(/one ledger/);
});
