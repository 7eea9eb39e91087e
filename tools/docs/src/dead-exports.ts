// Finds dead exports: names that a file exports and no other file imports. The rule does not ask about entries (the files that
// a tsup.config.ts names: users import those), nor about a type that another export of its file mentions. An import by a test
// counts for test support alone: a name of the source that only tests import is dead.

import { posix } from 'node:path';
import ts from 'typescript';
import { packageOf, type RepositoryFile } from './repository.js';

/** The use of every name that a file exports. */
const ALL = '*';
const SOURCE = /(?<!\.d)\.m?ts$/;
/** Loaded by a tool, by its path. */
const PROGRAM = /(?:\.config\.ts|^tools\/packs\/programs\/.*)$/;

interface Export {
  readonly name: string;
  readonly line: number;
}

interface Import {
  /** The path of the file that is imported from. */
  readonly from: string;
  readonly name: string;
}

interface Module {
  readonly path: string;
  readonly exports: Export[];
  readonly imports: Import[];
}

/**
 * The dead exports, as "path:line: why". `kept` has the exceptions, as "package: name". An exception that no dead export of its
 * package needs is an error, too.
 */
export function deadExports(files: readonly RepositoryFile[], kept: readonly string[]): string[] {
  const entries = new Set(files.flatMap(entriesIn));
  const isEntry = (path: string) => entries.has(path) || PROGRAM.test(path);
  const built = new Set(files.filter(isBuildConfig).map(({ path }) => posix.dirname(path)));
  const isSupport = (path: string) => /(^|\/)test\//.test(path) || !built.has(packageOf(path));
  const modules = files.filter(({ path }) => SOURCE.test(path)).map(parse);
  const uses = new Set<string>();
  for (const { path, imports } of modules) {
    for (const { from, name } of imports) if (!isSupport(path) || isSupport(from)) uses.add(`${from}#${name}`);
  }
  const exceptions = kept.filter((entry) => files.some(({ path }) => packageOf(path) === entry.split(': ')[0]));
  const needed = new Set<string>();
  const dead = modules.flatMap(({ path, exports }) =>
    exports.flatMap(({ name, line }) => {
      if (isEntry(path) || uses.has(`${path}#${name}`) || uses.has(`${path}#${ALL}`)) return [];
      const exception = `${packageOf(path)}: ${name}`;
      if (!exceptions.includes(exception))
        return [
          `${path}:${line}: no other file imports ${name}: do not export it, or name it among the exceptions in rules.ts`,
        ];
      needed.add(exception);
      return [];
    }),
  );
  const vain = exceptions.filter((entry) => !needed.has(entry));
  return [...dead, ...vain.map((entry) => `${entry}: the exception is not needed any more`)];
}

function isBuildConfig({ path }: RepositoryFile): boolean {
  return posix.basename(path) === 'tsup.config.ts';
}

function entriesIn(file: RepositoryFile): string[] {
  const literals = isBuildConfig(file)
    ? file.text.matchAll(/'([\w-]+\/[^']*\.ts)'/g)
    : posix.basename(file.path) === 'package.json'
      ? file.text.matchAll(/"\.\/([^"]*\.ts)"/g)
      : [];
  return [...literals].map(([, entry]) => posix.join(posix.dirname(file.path), entry!));
}

function parse({ path, text }: RepositoryFile): Module {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, false);
  const module: Module = { path, exports: [], imports: [] };
  const add = (name: string, node: ts.Node) => {
    module.exports.push({ name, line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1 });
  };
  const exported = source.statements.filter(isExported);
  const isMentioned = (name: string, by: ts.Statement) => new RegExp(`\\b${name}\\b`).test(by.getText(source));
  for (const statement of source.statements) {
    if (ts.isImportDeclaration(statement)) module.imports.push(...importsOf(path, statement));
    else if (ts.isExportDeclaration(statement)) exportsOf(module, statement, add);
    else if (ts.isExportAssignment(statement)) add('default', statement);
    else if (isExported(statement)) {
      const others = isType(statement) ? exported.filter((other) => other !== statement) : [];
      const names = declaredBy(statement).filter((name) => !others.some((other) => isMentioned(name, other)));
      for (const name of names) add(name, statement);
    }
  }
  // import('./file.js'), of a value or of a type, may use any name.
  for (const [, specifier] of text.matchAll(/\bimport\(\s*'(\.[^']+)'/g)) {
    module.imports.push({ from: resolve(path, specifier!), name: ALL });
  }
  return module;
}

function importsOf(path: string, { importClause, moduleSpecifier }: ts.ImportDeclaration): Import[] {
  const from = resolve(path, (moduleSpecifier as ts.StringLiteral).text);
  if (importClause === undefined) return [];
  const byDefault = importClause.name === undefined ? [] : [{ from, name: 'default' }];
  const bindings = importClause.namedBindings;
  if (bindings === undefined) return byDefault;
  if (ts.isNamespaceImport(bindings)) return [...byDefault, { from, name: ALL }];
  return [
    ...byDefault,
    ...bindings.elements.map((element) => ({ from, name: (element.propertyName ?? element.name).text })),
  ];
}

/** `export { a }` and `export { a } from './file.js'`; the latter imports, too. */
function exportsOf(
  { path, imports }: Module,
  { exportClause, moduleSpecifier }: ts.ExportDeclaration,
  add: (name: string, node: ts.Node) => void,
): void {
  const from = moduleSpecifier === undefined ? undefined : resolve(path, (moduleSpecifier as ts.StringLiteral).text);
  if (exportClause === undefined || ts.isNamespaceExport(exportClause)) {
    imports.push({ from: from!, name: ALL });
    return;
  }
  for (const element of exportClause.elements) {
    add(element.name.text, element);
    if (from !== undefined) imports.push({ from, name: (element.propertyName ?? element.name).text });
  }
}

function isExported(statement: ts.Statement): boolean {
  if (!ts.canHaveModifiers(statement)) return false;
  return ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

function isType(statement: ts.Statement): boolean {
  return (
    ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement) || ts.isClassDeclaration(statement)
  );
}

function declaredBy(statement: ts.Statement): string[] {
  if (
    ts.canHaveModifiers(statement) &&
    ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)
  ) {
    return ['default'];
  }
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap(({ name }) => namesIn(name));
  const { name } = statement as ts.DeclarationStatement;
  return name === undefined ? [] : [name.text];
}

function namesIn(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : namesIn(element.name)));
}

/** The source that a relative specifier names; what is no file of this repository stays as it is. */
function resolve(path: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  return posix.join(posix.dirname(path), specifier).replace(/\.(m?)js$/, '.$1ts');
}
