// The repository lints itself: see src/rules.ts for what it asks.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root, textFiles } from '../src/repository.js';
import { rules } from '../src/rules.js';

const MOST_EXPORTS = 18;
const BELOW_SESSION = ['iocp-native', 'net-core'];
const files = textFiles();

describe.each(rules)('$name', ({ check, broken }) => {
  test('holds', () => {
    expect(check(files)).toEqual([]);
  });

  test('is noticed when broken', () => {
    expect(check([broken])).toHaveLength(1);
  });
});

// A name counts in the package that defines it: session re-exports what a server needs of the packages below. The types of a state's
// fields (u8, f64 ...) are constants, and do not count.
test.each(readdirSync(join(root, 'packages')))('@overlapped/%s defines few public names', async (name) => {
  const below = await Promise.all(BELOW_SESSION.map((each) => import(`@overlapped/${each}`)));
  const defined = new Set(name === 'session' ? below.flatMap((each) => Object.values(each)) : []);
  const exported = Object.entries(await import(`@overlapped/${name}`));
  const names = exported
    .filter(([, value]) => typeof value === 'function' && !defined.has(value))
    .map(([each]) => each);
  expect(names.length, names.join(', ')).toBeLessThanOrEqual(MOST_EXPORTS);
});
