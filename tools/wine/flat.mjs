// A flat image of the workspace for Windows Node. Wine shows Linux symlinks as plain folders and files, so Node cannot
// resolve them to where pnpm keeps a package's own dependencies: here every package lies in one node_modules, or inside
// the package that needs another version of it. Dependencies are linked file by file; the workspace's own packages are
// copied, because Vite asks the system for their real paths and would leave the image.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

/** Puts `members` of the workspace at `root`, and `tools` with all that they depend on, into the folder `out`. */
export function makeFlat(root, members, tools, out) {
  const modules = join(out, 'node_modules');
  for (const name of ['tsconfig.base.json', 'vitest.config.ts', 'vitest.ports.ts', 'vitest.setup.ts'])
    cpSync(join(root, name), join(out, name));
  for (const member of members) {
    const from = join(root, member);
    const to = join(out, member);
    cpSync(from, to, { recursive: true, filter: (path) => path !== join(from, 'node_modules') });
    forward(to, join(modules, '@overlapped', basename(member)));
  }
  const placed = new Map();
  const here = join(import.meta.dirname, 'node_modules');
  // These come first: another version that a dependency needs goes further down.
  for (const tool of tools) placed.set(tool, realpathSync(join(here, tool)));
  for (const [tool, from] of [...placed]) put(from, tool, [{ modules, placed }]);
}

/**
 * Puts the package at `from` as high as it can go. `levels` are the node_modules folders that it would be found in,
 * outermost first, each with what it holds.
 */
function place(from, name, levels) {
  for (const { placed } of levels.toReversed()) {
    if (placed.get(name) === from) return;
    if (placed.has(name)) break;
  }
  const level = levels.find(({ placed }, i) => !placed.has(name) && levels.slice(i).every((l) => !l.placed.has(name)));
  if (!level) throw new Error(`Cannot place ${name}: two versions of it are needed at one level`);
  level.placed.set(name, from);
  put(from, name, levels.slice(0, levels.indexOf(level) + 1));
}

/** Puts a package into the last of `levels`, and what it needs where that finds it. */
function put(from, name, levels) {
  const to = join(levels.at(-1).modules, name);
  linkEntries(from, to);
  const inner = [...levels, { modules: join(to, 'node_modules'), placed: new Map() }];
  const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(
    readFileSync(join(from, 'package.json'), 'utf8'),
  );
  for (const needed of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
    const at = resolveFrom(from, needed);
    if (at) place(at, needed, inner);
  }
}

/** Where a package finds another, as Node would look for it; optional ones may be missing. */
function resolveFrom(from, name) {
  for (let folder = from; folder !== dirname(folder); folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(candidate)) return realpathSync(candidate);
  }
  return undefined;
}

/** Has whoever finds a package of our own in node_modules get the copy, which is then the only one in a process. */
function forward(copy, at) {
  mkdirSync(join(at, 'dist'), { recursive: true });
  symlinkSync(join(copy, 'package.json'), join(at, 'package.json'));
  for (const file of readdirSync(join(copy, 'dist')).filter((name) => name.endsWith('.js'))) {
    const target = relative(join(at, 'dist'), join(copy, 'dist', file));
    writeFileSync(join(at, 'dist', file), `export * from '${target}';\n`);
  }
}

/** A folder of its own with links to everything in `from` but its node_modules. */
function linkEntries(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from)) {
    if (entry !== 'node_modules') symlinkSync(join(from, entry), join(to, entry));
  }
}
