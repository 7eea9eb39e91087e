// The names that the packages give to those who import them, read from the built declarations.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './repository.js';

interface Entry {
  /** As in an import: "@overlapped/iocp-native/testing". */
  readonly specifier: string;
  /** For the other packages of this repository: "./internal" and what lies below it. */
  readonly isInternal: boolean;
  /** The path of the declarations. */
  readonly types: string;
}

/** One line for each name, "specifier: kind name", of the entries for users or of the internal ones. */
export function namesOf(entries: readonly Entry[]): string[] {
  const program = ts.createProgram(
    entries.map(({ types }) => types),
    { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, types: ['node'], skipLibCheck: true },
  );
  const checker = program.getTypeChecker();
  return entries.flatMap(({ specifier, types }) => {
    const file = program.getSourceFile(types);
    const module = file && checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error(`${specifier} has no declarations at ${types}: build it first`);
    const exported = checker.getExportsOfModule(module);
    return exported.map((symbol) => `${specifier}: ${kindOf(symbol, checker)} ${symbol.name}`).sort();
  });
}

/** What the "exports" of every package's package.json name. */
export function entries(): Entry[] {
  const folders = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name));
  return folders.filter((folder) => existsSync(join(folder, 'package.json'))).flatMap(entriesOf);
}

function entriesOf(folder: string): Entry[] {
  const { name, exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return Object.entries<{ types: string } | null>(exports).flatMap(([key, target]) => {
    if (target === null) return [];
    const isInternal = key === './internal' || key.startsWith('./internal/');
    return [{ specifier: name + key.slice(1), isInternal, types: join(folder, target.types) }];
  });
}

/** A class is both a value and a type; here it is a value. */
function kindOf(symbol: ts.Symbol, checker: ts.TypeChecker): 'value' | 'type' {
  const { SymbolFlags } = ts;
  // `export type { A }` gives the type alone, even of a class.
  if (symbol.declarations?.some((declaration) => ts.isTypeOnlyImportOrExportDeclaration(declaration))) return 'type';
  const target = symbol.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  return target.flags & SymbolFlags.Value ? 'value' : 'type';
}
