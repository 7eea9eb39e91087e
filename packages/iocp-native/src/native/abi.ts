// Asserts that C structures lie in memory as this package believes. A wrong offset is memory corruption, so a backend
// checks all of its layouts before it opens a port.

import assert from 'node:assert';
import type { TypeObject } from 'koffi';
import { koffi } from './koffi.js';

/** The size of a C structure in bytes, and where in it the fields that are used lie. */
export interface Layout {
  readonly size: number;
  readonly offsets: Readonly<Record<string, number>>;
}

/** Asserts that the compiler's rules, which koffi knows, give a structure the size and the offsets that the code uses. */
export function assertLayout(name: string, type: TypeObject, layout: Layout): void {
  const { sizeof, offsetof } = koffi();
  assert.strictEqual(sizeof(type), layout.size, `the size of ${name}`);
  for (const [field, offset] of Object.entries(layout.offsets)) {
    assert.strictEqual(offsetof(type, field), offset, `the offset of ${name}.${field}`);
  }
}
