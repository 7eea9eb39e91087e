// The repository's own files, as the tests of this package read them.

import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RepositoryFile {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

export const root = fileURLToPath(new URL('../../..', import.meta.url));

const GENERATED = new Set(['.git', '.turbo', 'coverage', 'dist', 'node_modules']);
/** The pages of the API. */
const API = join(root, 'docs/api');
const TEXT = new Set(['.json', '.md', '.yaml', '.yml']);
const SOURCE = new Set(['.ts', '.mts', '.js', '.mjs', '.cjs', '.c', '.sh']);

/** Every text file that people write, wherever it lies. What holds a zero byte is no text. */
export function textFiles(): RepositoryFile[] {
  return walk(root)
    .map((path) => ({ path: relative(root, path).replaceAll(sep, '/'), text: readFileSync(path, 'utf8') }))
    .filter(({ text }) => !text.includes('\0'));
}

/** Code, in whatever language. */
export function isSource({ path, text }: RepositoryFile): boolean {
  return SOURCE.has(extname(path)) || text.startsWith('#!');
}

/** The folder of the package that a file belongs to: "packages/session", "bench"; or "" for the root's own. */
export function packageOf(path: string): string {
  return /^(?:(?:packages|apps|tools)\/[^/]+|bench|examples)(?=\/)/.exec(path)?.[0] ?? '';
}

export function lines(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    // In a work tree of its own, `.git` is a file.
    if (GENERATED.has(entry.name) || path === API) return [];
    if (entry.isDirectory()) return walk(path);
    return entry.isFile() && isText(path) ? [path] : [];
  });
}

function isText(path: string): boolean {
  const extension = extname(path);
  return TEXT.has(extension) || SOURCE.has(extension) || extension === '';
}
