// The tables of the READMEs say what the docstrings say, and the lists that people write (environment variables, error codes)
// have everything that the code has.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { Server, Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { entries } from '../src/names.js';
import { root, textFiles } from '../src/repository.js';
import { exportsOf, withContents, withTables } from '../src/tables.js';

const MESSAGE = 'A docstring has changed, or a heading. Run `pnpm docs:tables`';
const packages = readdirSync(join(root, 'packages')).filter((name) =>
  existsSync(join(root, 'packages', name, 'README.md')),
);

describe.each(packages)('the README of %s', (name) => {
  const path = join(root, 'packages', name, 'README.md');

  test('has the tables that its docstrings make, and a table of contents', async () => {
    const all = entries().filter(({ specifier }) => `${specifier}/`.startsWith(`@overlapped/${name}/`));
    const { find, checker } = exportsOf(all.filter(({ isInternal }) => !isInternal).map(({ types }) => types));
    const text = readFileSync(path, 'utf8');
    expect(text).toMatch(/<!-- table: /);
    expect(text).toMatch(/<!-- contents -->/);
    await expect(withContents(withTables(text, find, checker)), MESSAGE).toMatchFileSnapshot(path);
  });
});

test.each(['README.md', 'docs/ARCHITECTURE.md'])('%s has a table of contents', async (page) => {
  const path = join(root, page);
  const text = readFileSync(path, 'utf8');
  expect(text).toMatch(/<!-- contents -->/);
  await expect(withContents(text), MESSAGE).toMatchFileSnapshot(path);
});

const files = textFiles().filter(({ path }) => !/(^|\/)node_modules\//.test(path));
const textOf = (path: string) => readFileSync(join(root, path), 'utf8');

test('docs/ENVIRONMENT.md lists the environment variables that the code reads', () => {
  const code = files.filter(({ path }) => /\.(m?ts|m?js|sh)$/.test(path) && path !== 'tools/docs/test/tables.test.ts');
  const read = /(?:process\.env\.|^const \{.*?|env: \{ ?)(OVERLAPPED_[A-Z_]+)/gm;
  const found = new Set(code.flatMap(({ text }) => [...text.matchAll(read)].map(([, name]) => name!)));
  const listed = [...textOf('docs/ENVIRONMENT.md').matchAll(/^\| `(OVERLAPPED_\w+)`/gm)].map(([, name]) => name!);
  expect(found).toContain('OVERLAPPED_BACKEND');
  expect(listed.sort()).toEqual([...found].sort());
});

test.each(['iocp-native', 'session', 'jobs', 'net-core'])(
  'the README of %s lists the error codes of its code, and no others',
  (name) => {
    const sources = files.filter(({ path }) => path.startsWith(`packages/${name}/src/`));
    // Those that it makes or lists, not those that it only asks for.
    const made = /(?<!code [!=]== )'(E[A-Z]{3,})'/g;
    const codes = new Set(sources.flatMap(({ text }) => [...text.matchAll(made)].map(([, code]) => code!)));
    const section = textOf(`packages/${name}/README.md`)
      .split('\n## ')
      .find((each) => each.startsWith('Errors\n'))!;
    const listed = new Set([...section.matchAll(/(?<=^\| .*)`(E[A-Z]{3,})`(?=[^|]*\|)/gm)].map(([, code]) => code!));
    expect([...codes].filter((code) => !listed.has(code))).toEqual([]);
    const kernel = files.filter(({ path }) => /^packages\/[\w-]+\/src\//.test(path));
    expect([...listed].filter((code) => !kernel.some(({ text }) => text.includes(code)))).toEqual([]);
  },
);

test('the README of session says what is in the place of each member of net.Server and net.Socket', () => {
  const section = textOf('packages/session/README.md')
    .split('\n## ')
    .find((each) => each.startsWith('From node:net\n'))!;
  const rows = section.split('\n').map((line) => line.split('|')[1] ?? '');
  const members = [Server, Socket].flatMap((each) => Object.getOwnPropertyNames(each.prototype));
  const missing = members.filter((name) => /^[a-z]/.test(name) && name !== 'constructor');
  expect(missing.filter((name) => !rows.some((row) => new RegExp(`\\b${name}\\b`).test(row)))).toEqual([]);
});
