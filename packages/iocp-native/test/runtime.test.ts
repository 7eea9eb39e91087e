// Other programs than Node.js that run JavaScript get the portable backend: the others need Node's own event loop.

import { expect, test } from 'vitest';
import { otherRuntime } from '../src/runtime.js';

test.each([
  ['Node.js', process.versions, undefined],
  ['Bun', { ...process.versions, bun: '1.4.5' }, 'it needs the event loop of Node.js, and this is Bun 1.4.5'],
  ['Deno', { ...process.versions, deno: '2.9.6' }, 'it needs the event loop of Node.js, and this is Deno 2.9.6'],
])('%s is recognised by its version', (_name, versions, reason) => {
  expect(otherRuntime(versions)).toBe(reason);
});
