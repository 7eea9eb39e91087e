// No name becomes public, or is lost, unawares: names.txt lists what each entry of each package exports.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { entries, namesOf } from '../src/names.js';

const FILE = fileURLToPath(new URL('../names.txt', import.meta.url));
const MESSAGE =
  'A name was added to an entry of a package, or removed. If that is meant, run ' +
  '`pnpm --filter @overlapped/tools-docs test names -u`, and add a changeset when users see it';

test('the public names are those of names.txt', async () => {
  const all = entries();
  const text = [
    '# Written by `pnpm --filter @overlapped/tools-docs test names -u`.',
    '',
    '# For users',
    ...namesOf(all.filter(({ isInternal }) => !isInternal)),
    '',
    '# internal: for the other packages of this repository',
    ...namesOf(all.filter(({ isInternal }) => isInternal)),
    '',
  ].join('\n');
  await expect(text, MESSAGE).toMatchFileSnapshot(FILE);
});

test('names are read through what re-exports them, each with its kind', () => {
  const folder = mkdtempSync(join(tmpdir(), 'overlapped-names-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const part = 'export declare class A {}\nexport interface B {}\nexport declare const C: 1;\nexport type D = 1;\n';
  const index =
    "export * from './part.js';\nexport { A as E, type A as F } from './part.js';\nexport * as G from './part.js';\n";
  writeFileSync(join(folder, 'part.d.ts'), part);
  writeFileSync(join(folder, 'index.d.ts'), index);
  const names = namesOf([{ specifier: 'x', isInternal: false, types: join(folder, 'index.d.ts') }]);
  expect(names).toEqual([
    'x: type B',
    'x: type D',
    'x: type F',
    'x: value A',
    'x: value C',
    'x: value E',
    'x: value G',
  ]);
  const missing = { specifier: 'x/y', isInternal: false, types: join(folder, 'none.d.ts') };
  expect(() => namesOf([missing])).toThrow(/^x\/y has no declarations at .*: build it first$/);
});
