// What this repository asks of its own files. Each rule gives the places where it is broken, as "path:line: why", and
// shows a file that breaks it, so that the tests can tell that the rule still notices.

import { posix } from 'node:path';
import ts from 'typescript';
import { deadExports } from './dead-exports.js';
import { isSource, lines, packageOf, type RepositoryFile } from './repository.js';

export interface Rule {
  readonly name: string;
  readonly check: (files: readonly RepositoryFile[]) => string[];
  readonly broken: RepositoryFile;
}

/** Packages from the lowest to the highest; each may import those before it. */
const LAYERS = ['iocp-native', 'object-pool', 'jobs', 'net-core', 'session'];
/** What any app may use besides. */
const FOR_APPS = ['monitor', 'support'];

/** A rule about one line at a time, in the files that `of` accepts. */
function lineRule(of: (file: RepositoryFile) => boolean, broken: (line: string, before: string) => string | false) {
  return (files: readonly RepositoryFile[]): string[] =>
    files.filter(of).flatMap(({ path, text }) =>
      lines(text).flatMap((line, i, all) => {
        const why = broken(line, all[i - 1] ?? '');
        return why === false ? [] : `${path}:${i + 1}: ${why}`;
      }),
    );
}

function opensWithoutComment({ path, text }: RepositoryFile): string[] {
  const [first, second] = lines(text);
  const opening = first?.startsWith('#!') ? second : first;
  return /^(\/\/|\/\*|#)/.test(opening ?? '') ? [] : [`${path}:1: does not begin with what it is for`];
}

function isAllowedImport(path: string, specifier: string): boolean {
  const from = packageOf(path);
  if (specifier.startsWith('.')) {
    const to = posix.join(posix.dirname(path), specifier);
    return packageOf(to) === from || !to.includes('/');
  }
  const to = /^@overlapped\/([^/]+)/.exec(specifier)?.[1];
  if (to === undefined) return true;
  if (FOR_APPS.includes(to)) return from.startsWith('apps/');
  const layer = from.startsWith('packages/') ? LAYERS.indexOf(posix.basename(from)) : LAYERS.length;
  return LAYERS.includes(to) && LAYERS.indexOf(to) <= layer;
}

function crossesLayers({ path, text }: RepositoryFile): string[] {
  return ts
    .preProcessFile(text)
    .importedFiles.filter(({ fileName }) => !isAllowedImport(path, fileName))
    .map(({ fileName, pos }) => `${path}:${text.slice(0, pos).split('\n').length}: may not import ${fileName}`);
}

function outsideCatalog({ path, text }: RepositoryFile): string[] {
  const manifest = JSON.parse(text);
  return ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies'].flatMap((kind) =>
    Object.entries<string>(manifest[kind] ?? {})
      .filter(([, version]) => !/^(catalog|workspace):/.test(version))
      .map(([name, version]) => `${path}:1: ${name} ${version} is not from the catalog`),
  );
}

function explainsSkip(line: string, before: string): boolean {
  // In a comment, in the title (as a value that is called so), or as the string that the skip of a test's context takes.
  const inTitle = /\breason\}/.test(line);
  return (
    inTitle || /\/\//.test(line) || /^\s*(\/\/|\*)/.test(before) || /\b(context|ctx|task)\.skip\(.*['"`]/.test(line)
  );
}

const isTypeScript = ({ path }: RepositoryFile) => /\.m?ts$/.test(path);
const isTest = ({ path }: RepositoryFile) => /(^|\/)test\//.test(path) && /\.m?ts$/.test(path);
const isManifest = ({ path }: RepositoryFile) => posix.basename(path) === 'package.json';
const isAny = () => true;

// The words that the rules look for are put together here, so that this file does not break its own rules.
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME'].join('|')})\\b`);
const MACHINE_PATH = /(?<![\w.*])\/(work|root|home|Users)\//;
const SHARED_FOLDER = new RegExp(`^(?!.* from ').*\\.\\./${'shared'}\\b`);
const REGISTRY = new RegExp(`\\bregistry${'\\.'}[a-z-]+[.][a-z]{2}`);
const ONLY = /\b(test|it|describe|suite|bench)(\.\w+)*\.only\b/;
const SKIP = /\.(skip|skipIf|runIf|todo)\b/;

/** Pure functions that a test calls by themselves, as the cases that they decide cannot all be met with a kernel. */
const EXPORTED_FOR_TESTS = [
  'packages/iocp-native: backlogOf',
  'packages/iocp-native: chooseTaskRun',
  'packages/iocp-native: probe',
  'packages/session: interleave',
];

export const rules: readonly Rule[] = [
  {
    name: 'each source file begins with a comment',
    check: (files) => files.filter(isSource).flatMap(opensWithoutComment),
    broken: { path: 'packages/session/src/bare.ts', text: 'export {};\n' },
  },
  {
    name: 'imports follow the layers and stay inside their package',
    check: (files) => files.filter(isTypeScript).flatMap(crossesLayers),
    broken: { path: 'packages/object-pool/src/up.ts', text: "import '@overlapped/session';\n" },
  },
  {
    name: 'every version comes from the catalog',
    check: (files) => files.filter(isManifest).flatMap(outsideCatalog),
    broken: { path: 'packages/session/package.json', text: '{ "dependencies": { "left-pad": "^1.3.0" } }' },
  },
  {
    name: 'what is exported is imported by another file',
    check: (files) => deadExports(files, EXPORTED_FOR_TESTS),
    broken: { path: 'tools/docs/src/dead.ts', text: 'export const dead = 1;\n' },
  },
  {
    name: 'nothing is left unfinished',
    check: lineRule(isAny, (line) => UNFINISHED.test(line) && 'finish it, or open an issue'),
    broken: { path: 'README.md', text: `${'TO' + 'DO'}: write this\n` },
  },
  {
    name: 'no test runs alone',
    check: lineRule(isTest, (line) => ONLY.test(line) && 'would keep the other tests from running'),
    broken: { path: 'packages/session/test/a.test.ts', text: `${['test', 'only'].join('.')}('a', () => {});\n` },
  },
  {
    name: 'each skipped test says why',
    check: lineRule(
      isTest,
      (line, before) => SKIP.test(line) && !explainsSkip(line, before) && 'skips without a reason',
    ),
    broken: { path: 'packages/session/test/a.test.ts', text: `${['test', 'skip'].join('.')}('a', () => {});\n` },
  },
  {
    name: 'no path of one machine, no folder outside the repository, no registry',
    check: lineRule(isAny, (line) => {
      const found = MACHINE_PATH.exec(line) ?? SHARED_FOLDER.exec(line) ?? REGISTRY.exec(line);
      return found !== null && `names ${found[0]}`;
    }),
    broken: { path: 'docs/a.md', text: `See ${['', 'root', 'a'].join('/')}.\n` },
  },
];
