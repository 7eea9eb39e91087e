// The bench's programs in C, compiled when they are first used.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { pathOf } from './paths.js';

/** Why the programs in C cannot run here, or undefined when they can. */
export function whyNotCompiled(): string | undefined {
  if (process.platform !== 'linux') return 'it is for Linux';
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'it is written in C, and there is no gcc';
  }
}

/** Whether `header` can be included, and declares `name`. */
export function declares(header: string, name: string): boolean {
  try {
    const options = ['-E', '-include', header, '-x', 'c', '/dev/null'];
    return execFileSync('gcc', options, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' }).includes(name);
  } catch {
    return false;
  }
}

/** The path of the program that `source`, a path in this package, is compiled to. */
export function compiled(source: string, libraries: readonly string[] = []): string {
  const path = pathOf(source);
  const folder = `${dirname(path)}/build`;
  const program = `${folder}/${basename(path, '.c')}`;
  if (existsSync(program) && statSync(program).mtimeMs > changed(path)) return program;
  const reason = whyNotCompiled();
  if (reason !== undefined) throw new Error(`Cannot compile ${source}: ${reason}`);
  mkdirSync(folder, { recursive: true });
  // Others may be compiling, too: the program appears whole.
  const made = `${program}.${process.pid}`;
  const link = libraries.map((library) => `-l${library}`);
  execFileSync('gcc', ['-O2', '-Wall', '-o', made, path, ...link], { stdio: ['ignore', 'inherit', 'inherit'] });
  renameSync(made, program);
  return program;
}

/** When a program's source, or a header beside it, was last changed. */
function changed(path: string): number {
  const folder = dirname(path);
  const headers = readdirSync(folder).filter((name) => name.endsWith('.h'));
  return Math.max(...[path, ...headers.map((name) => `${folder}/${name}`)].map((file) => statSync(file).mtimeMs));
}
