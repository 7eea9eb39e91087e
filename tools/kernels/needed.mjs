// Prints the paths, one a line, that the suites of packages need:
//
//   node needed.mjs PACKAGE,PACKAGE
//
// They are the packages themselves, and of pnpm's store what they and their development dependencies lead to. Packages for other
// systems, compilers and browsers are left out: no suite loads them on Linux. Runs in the workspace's folder.

import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join, relative } from 'node:path';

const STORE = 'node_modules/.pnpm';
const NOT_NEEDED =
  /win32|windows|biome|turbo|^typescript|^@typescript|^node-win|^@oven|^tsup|^playwright|^@esbuild|^esbuild/;

const root = realpathSync('.');
const found = new Set();
for (const name of process.argv[2].split(',')) follow(`packages/${name}`);
// The settings of the workspace load these two.
for (const name of ['vitest', 'fast-check']) {
  found.add(`node_modules/${name}`);
  target(`node_modules/${name}`);
}
for (const name of readdirSync('.')) if (/^(package\.json|vitest|tsconfig|scripts$)/.test(name)) found.add(name);
console.log([...found].join('\n'));

/** A folder with node_modules of its own: a package of the workspace, or an entry of the store. */
function follow(folder) {
  if (found.has(folder)) return;
  found.add(folder);
  const modules = join(folder, 'node_modules');
  if (!existsSync(modules)) return;
  for (const name of readdirSync(modules)) {
    if (name.startsWith('.')) continue;
    const names = name.startsWith('@') ? readdirSync(join(modules, name)).map((inner) => join(name, inner)) : [name];
    for (const each of names) target(join(modules, each));
  }
}

function target(link) {
  if (!existsSync(link)) return;
  const path = relative(root, realpathSync(link));
  if (path.startsWith('packages/')) return follow(path);
  if (!path.startsWith(STORE)) return;
  const entry = path.slice(STORE.length + 1).split('/')[0];
  if (!NOT_NEEDED.test(entry)) follow(join(STORE, entry));
}
