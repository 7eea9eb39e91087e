// The examples of the READMEs, of docs/DEPLOY.md and of docs/guide: the blocks marked ```ts, which become modules, and those marked ```sh test.
// An example that says "prints: TEXT" in a comment must print TEXT; one whose first line is "// NAME.mts" is a file of that name.

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { lines, type RepositoryFile, root } from './repository.js';

export interface Example {
  readonly language: 'ts' | 'sh';
  /** The README, from the repository's root, and the line that the code begins on. */
  readonly readme: string;
  readonly line: number;
  readonly code: string;
  readonly prints: readonly string[];
}

export interface CompiledExample {
  /** The module, to be run. */
  readonly module: string;
  /** Type errors, with the README's own line numbers. */
  readonly errors: readonly string[];
}

const OPENING = /^```(?:(ts)|(sh) test)$/;
const README = /^(?:(?:(?:packages|apps)\/[^/]+\/)?README|docs\/DEPLOY|docs\/guide\/en\/[\w-]+)\.md$/;

export function examplesOf(files: readonly RepositoryFile[]): Example[] {
  return files.filter(({ path }) => README.test(path)).flatMap(examplesIn);
}

function examplesIn({ path, text }: RepositoryFile): Example[] {
  const all = lines(text);
  return all.flatMap((opening, i) => {
    const marks = OPENING.exec(opening);
    if (marks === null) return [];
    const code = all.slice(i + 1, all.indexOf('```', i + 1));
    const prints = code.flatMap((line) => /(?:\/\/|#) prints: (.*)$/.exec(line)?.[1] ?? []);
    return { language: marks[1] ? 'ts' : 'sh', readme: path, line: i + 2, code: code.join('\n'), prints };
  });
}

/** Type-checks and emits all examples in one program, in a folder from which the workspace's packages resolve. */
export function compile(examples: readonly Example[]): Map<Example, CompiledExample> {
  const cache = fileURLToPath(new URL('../node_modules/.cache', import.meta.url));
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'examples-'));
  const sources = examples.map((example, i) => {
    const [, name = `example-${i}`] = /^\/\/ ([a-z-]+)\.mts$/.exec(example.code.split('\n', 1)[0]!) ?? [];
    const source = join(folder, `${name}.mts`);
    // Empty lines first, so that the line in a message, or in a stack, is the README's.
    writeFileSync(source, '\n'.repeat(example.line - 1) + example.code);
    return source;
  });
  const program = ts.createProgram(sources, compilerOptions());
  program.emit();
  return new Map(
    examples.map((example, i) => {
      const file = program.getSourceFile(sources[i]!);
      const errors = ts.getPreEmitDiagnostics(program, file).map((diagnostic) => describe(diagnostic, example));
      return [example, { module: sources[i]!.replace(/mts$/, 'mjs'), errors }];
    }),
  );
}

/** The folder that a shell example runs in: its README's. */
export function folderOf(example: Example): string {
  return join(root, dirname(example.readme));
}

function compilerOptions(): ts.CompilerOptions {
  const base = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...base.config, files: [] }, ts.sys, root);
  // An example may name things for the reader's sake alone.
  const typeRoots = [fileURLToPath(new URL('../node_modules/@types', import.meta.url))];
  return {
    ...options,
    noEmit: false,
    inlineSourceMap: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
    typeRoots,
  };
}

function describe({ file, start, messageText }: ts.Diagnostic, example: Example): string {
  const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : example.line;
  return `${example.readme}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
}
