// A user's folder outside of the workspace, with the packages as they would be published, and programs that run there.

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const require = createRequire(import.meta.url);

/** From the lowest to the highest. */
export const PACKAGES = ['iocp-native', 'object-pool', 'jobs', 'net-core', 'session'];
const programs = fileURLToPath(new URL('../programs', import.meta.url));
// On Windows pnpm and npm are scripts, which only a shell can run.
const shell = process.platform === 'win32';

/** A folder that is removed after the tests. */
export async function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'overlapped-packs-'));
}

export function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

/** Packs the packages; their tarballs, by name. */
export async function pack(folder: string): Promise<Map<string, string>> {
  const root = fileURLToPath(new URL('../../../packages/', import.meta.url));
  const tarballs = PACKAGES.map(async (name): Promise<[string, string]> => {
    const options = { cwd: join(root, name), shell };
    const { stdout } = await run('pnpm', ['pack', '--json', '--pack-destination', folder], options);
    return [name, JSON.parse(stdout).filename];
  });
  return new Map(await Promise.all(tarballs));
}

/** Puts the packed packages, and the koffi of this workspace, where npm would. It takes no network. */
export async function unpack(tarballs: Map<string, string>, folder: string): Promise<void> {
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  for (const [name, tarball] of tarballs) {
    const target = join(folder, 'node_modules/@overlapped', name);
    await mkdir(target, { recursive: true });
    await run('tar', ['-xzf', tarball, '-C', target, '--strip-components=1']);
  }
  await linkKoffi(folder);
  await cp(programs, folder, { recursive: true });
}

/** Makes the koffi of this workspace available in a folder. */
export async function linkKoffi(folder: string): Promise<void> {
  await mkdir(join(folder, 'node_modules'), { recursive: true });
  await symlink(await homeOf('koffi'), join(folder, 'node_modules/koffi'), 'junction');
}

/** Has npm or pnpm install the tarballs in a folder of its own, with what the README of each package says. */
export async function install(command: 'npm' | 'pnpm', tarballs: Map<string, string>, folder: string): Promise<void> {
  await mkdir(folder);
  await cp(programs, folder, { recursive: true });
  const files = Object.fromEntries([...tarballs].map(([name, path]) => [`@overlapped/${name}`, `file:${path}`]));
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', dependencies: files }));
  if (command === 'pnpm') {
    // Unpublished, the packages must also find each other as files; the first line is what a user writes.
    const yaml = ['allowBuilds: { koffi: false }', `overrides: ${JSON.stringify(files)}`];
    await writeFile(join(folder, 'pnpm-workspace.yaml'), yaml.join('\n'));
  }
  const quiet = command === 'npm' ? ['--no-audit', '--no-fund'] : [];
  await run(command, ['install', '--prefer-offline', ...quiet], { cwd: folder, shell });
}

/** What a program prints. Rejects when it fails. */
export async function print(command: string, args: readonly string[], cwd: string, env = {}): Promise<string> {
  const { stdout } = await run(command, args, { cwd, env: { ...process.env, PROGRAMS: programs, ...env } });
  return stdout;
}

/** Compiles a program against the packages, with every declaration checked; what the compiler has to say. */
export async function compile(compiler: string, types: string, folder: string): Promise<string> {
  const home = await homeOf(compiler);
  const { bin } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'));
  const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'];
  const where = ['--module', 'nodenext', '--target', 'es2022', '--typeRoots', join(folder, 'types', types)];
  const args = [join(home, bin.tsc), ...options, ...where, '--types', 'node', 'types.ts'];
  return print(process.execPath, args, folder).catch((error: { stdout: string }) => error.stdout);
}

/** Makes the types of a version of Node.js available to compile(), under the name of their package. */
export async function linkTypes(types: string, folder: string): Promise<void> {
  const target = join(folder, 'types', types);
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  await symlink(await homeOf(types), join(target, 'node'), 'junction');
}

/** Where one of this package's dependencies lies. */
function homeOf(name: string): Promise<string> {
  return realpath(fileURLToPath(new URL(`../node_modules/${name}`, import.meta.url)));
}

export function isResolvable(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** Where a file of one of this package's dependencies lies. */
export function fileOf(name: string): string {
  return require.resolve(name);
}
