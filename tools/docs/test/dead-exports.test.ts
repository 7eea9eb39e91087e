// The rule about dead exports: which imports count as a use of a name.

import { expect, test } from 'vitest';
import { deadExports } from '../src/dead-exports.js';

/** What is found in files of one package, which builds `src/index.ts`. */
function found(texts: Record<string, string>, kept: string[] = []): string[] {
  const files = { 'tsup.config.ts': "export default { entry: ['src/index.ts'] };", ...texts };
  const all = Object.entries(files).map(([path, text]) => ({ path: `packages/a/${path}`, text }));
  return deadExports(all, kept).map((line) => line.replace(/^.*imports (\w+):.*$/, '$1'));
}

test.each([
  ['a function', 'export function dead() {}', ['dead']],
  ['an async generator', 'export async function* dead() {}', ['dead']],
  ['each variable', 'export const one = 1, { two, three: [four] } = given;', ['one', 'two', 'four']],
  ['a list', 'const one = 1;\ntype Two = 2;\nexport { one, type Two as Three };', ['one', 'Three']],
  ['a default', 'export default class {}', ['default']],
  ['a type', 'export type One = 1;\nexport interface Two {}', ['One', 'Two']],
  ['nothing of what stays inside', 'const one = 1;', []],
])('finds %s', (_, text, names) => {
  expect(found({ 'src/part.ts': text })).toEqual(names);
});

test.each([
  ['by its name', "import { used } from './part.js';"],
  ['by another name', "import { used as other } from './part.js';"],
  ['as a type', "import { type used } from './part.js';"],
  ['for others to import', "export { used as other } from './part.js';"],
  ['with all the others', "import * as part from './part.js';"],
  ['for others to import, with all the others', "export * from './part.js';"],
  ['when it is needed', "const { used } = await import('./part.js');"],
])('a name is used that a file imports %s', (_, text) => {
  expect(found({ 'src/part.ts': 'export const used = 1;', 'src/index.ts': text })).toEqual([]);
});

test('a name is not used by its own file, by a file that it only has the name in common with, or by a test', () => {
  const texts = {
    'src/part.ts': 'export const dead = 1;\nconsole.log(dead);',
    'src/index.ts': "import { dead } from './other.js';\nimport './part.js';",
    'test/part.test.ts': "import { dead } from '../src/part.js';",
  };
  expect(found(texts)).toEqual(['dead']);
});

test('a test uses the names of test support', () => {
  expect(found({ 'test/support.ts': 'export const used = 1;' })).toEqual(['used']);
  const user = "import { used } from './support.js';";
  expect(found({ 'test/support.ts': 'export const used = 1;', 'test/a.test.ts': user })).toEqual([]);
});

test('a type may be exported beside what mentions it, a function may not', () => {
  const text = 'export interface Found {}\nexport function one() {}\nexport function find(): Found { return one(); }';
  expect(found({ 'src/part.ts': text, 'src/index.ts': "import { find } from './part.js';" })).toEqual(['one']);
});

test('a package without a build has its entries in its package.json', () => {
  const text = 'export const used = 1;';
  const manifest = '{ "exports": { ".": "./src/main.ts" } }';
  expect(found({ 'src/main.ts': text, 'src/part.ts': text, 'package.json': manifest })).toEqual(['used']);
});

test('an exception fails when it is not needed', () => {
  const text = 'export const dead = 1;';
  expect(found({ 'src/part.ts': text }, ['packages/a: dead'])).toEqual([]);
  expect(found({ 'src/part.ts': text }, ['packages/a: dead', 'packages/a: gone'])).toEqual([
    'packages/a: gone: the exception is not needed any more',
  ]);
});
