// The repository lints itself: see src/rules.ts for what it asks.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root, textFiles } from '../src/repository.js';
import { rules } from '../src/rules.js';

const MOST_EXPORTS = 15;
const files = textFiles();

describe.each(rules)('$name', ({ check, broken }) => {
  test('holds', () => {
    expect(check(files)).toEqual([]);
  });

  test('is noticed when broken', () => {
    expect(check([broken])).toHaveLength(1);
  });
});

test.each(readdirSync(join(root, 'packages')))('@overlapped/%s exports few names', async (name) => {
  const names = Object.keys(await import(`@overlapped/${name}`));
  expect(names.length, names.join(', ')).toBeLessThanOrEqual(MOST_EXPORTS);
});
