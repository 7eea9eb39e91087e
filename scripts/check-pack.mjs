// Checks the tarball that would be published, run in a package's folder as its `pack` script: what it must hold, and that
// every entry resolves, with its types, for those who import it.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const modules = new URL('../node_modules/', import.meta.url);
const REQUIRED = ['LICENSE', 'README.md', 'package.json'];

/** Runs the command of one of the root's devDependencies on the tarball; its output is the reason when it fails. */
async function check(dependency, command, args) {
  const manifest = new URL(`${dependency}/package.json`, modules);
  const { bin } = JSON.parse(await readFile(manifest, 'utf8'));
  try {
    await run(process.execPath, [fileURLToPath(new URL(bin[command], manifest)), ...args]);
  } catch (error) {
    throw new Error(`${command} is not satisfied:\n${error.stdout}${error.stderr}`);
  }
}

async function main(folder) {
  // On Windows pnpm is a script, which only a shell can run.
  const shell = process.platform === 'win32';
  const packed = await run('pnpm', ['pack', '--json', '--pack-destination', shell ? `"${folder}"` : folder], { shell });
  const { name, filename, size, files } = JSON.parse(packed.stdout);
  const missing = REQUIRED.filter((path) => !files.some((file) => file.path === path));
  if (missing.length > 0) throw new Error(`${name} would be published without ${missing.join(', ')}`);
  await Promise.all([
    check('publint', 'publint', ['--strict', filename]),
    check('@arethetypeswrong/cli', 'attw', ['--profile', 'esm-only', filename]),
  ]);
  console.log(`${name}: ${files.length} files, ${(size / 1024).toFixed(1)} KiB, publint and attw agree`);
}

const folder = await mkdtemp(join(tmpdir(), 'overlapped-pack-'));
try {
  await main(folder);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
