// The linter's rule about circles of run-time imports is on, notices one, and has no exceptions.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../src/repository.js';

const BIOME = join(root, 'node_modules/@biomejs/biome/bin/biome');
const folder = mkdtempSync(join(tmpdir(), 'overlapped-circles-'));

afterAll(() => rmSync(folder, { recursive: true }));

/** The files that import in a circle. */
function circles(cwd: string, ...options: string[]): string[] {
  const args = [BIOME, 'lint', '--reporter=json', '--max-diagnostics=none', ...options, '.'];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
  expect(stdout, stderr).not.toBe('');
  const diagnostics: { category: string; location: { path: string } }[] = JSON.parse(stdout).diagnostics;
  const found = diagnostics.filter(({ category }) => category === 'lint/suspicious/noImportCycles');
  return [...new Set(found.map(({ location }) => location.path.replaceAll('\\', '/')))].sort();
}

test.each([
  ['is noticed', 'import', ['first.ts', 'second.ts']],
  ['of types is none', 'import type', []],
])('a circle %s', (_, keyword, files) => {
  copyFileSync(join(root, 'biome.json'), join(folder, 'biome.json'));
  for (const [name, other] of [
    ['first', 'second'],
    ['second', 'first'],
  ]) {
    const text = `${keyword} { ${other} } from './${other}.js';\n\nexport const ${name} = () => null as typeof ${other};\n`;
    writeFileSync(join(folder, `${name}.ts`), text);
  }
  expect(circles(folder, '--vcs-enabled=false')).toEqual(files);
});

test('no file is excepted from the rule, and none imports in a circle', () => {
  // Asked for by its name, the rule takes no notice of overrides in biome.json.
  expect(circles(root, '--only=suspicious/noImportCycles')).toEqual([]);
});
