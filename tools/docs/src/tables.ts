// The parts of a README that are made from the docstrings: tables of options and members, and the table of contents. Each
// stands between two comments; the first one says what is in it:
//
//   <!-- table: NAME -->           an interface (its options or fields) or a class (its members) that the package exports
//   <!-- table: NAME own -->       the same without what it inherits from other interfaces
//   <!-- contents -->              links to the headings of level 2
//   <!-- end -->

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './repository.js';

const TABLE = /<!-- (table: (\w+)( own)?) -->\n[\s\S]*?<!-- end -->/g;
const CONTENTS = /<!-- contents -->\n[\s\S]*?<!-- end -->/;
const { SymbolFlags, ModifierFlags } = ts;

/** The text of a page with its table of contents made anew, where it has a place for one. */
export function withContents(text: string): string {
  return text.replace(CONTENTS, () => `<!-- contents -->\n\n${contents(text)}\n\n<!-- end -->`);
}

/** The text of a README with each of its tables made anew. Throws for a name that no entry of the package exports. */
export function withTables(text: string, find: (name: string) => ts.Symbol, checker: ts.TypeChecker): string {
  return text.replace(TABLE, (_part, mark: string, name: string, own: string | undefined) => {
    return `<!-- ${mark} -->\n\n${table(find(name), own !== undefined, checker)}\n\n<!-- end -->`;
  });
}

/** Finds the names that a package exports. */
export function exportsOf(types: readonly string[]): { find: (name: string) => ts.Symbol; checker: ts.TypeChecker } {
  const base = ts.readConfigFile(join(root, 'tsconfig.base.json'), (path) => readFileSync(path, 'utf8'));
  const { options } = ts.parseJsonConfigFileContent({ ...base.config, files: [] }, ts.sys, root);
  const typeRoots = [join(root, 'tools/docs/node_modules/@types')];
  const program = ts.createProgram(types, { ...options, typeRoots });
  const checker = program.getTypeChecker();
  const all = types.flatMap((path) => {
    const file = program.getSourceFile(path);
    const module = file && checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error(`there are no declarations at ${path}: build the package first`);
    return checker.getExportsOfModule(module);
  });
  const find = (name: string) => {
    const symbol = all.find((each) => each.name === name);
    if (symbol === undefined) throw new Error(`no entry of the package exports ${name}`);
    return symbol.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  };
  return { find, checker };
}

function table(symbol: ts.Symbol, own: boolean, checker: ts.TypeChecker): string {
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  const isClass = (symbol.flags & SymbolFlags.Class) !== 0;
  const declared = new Set(symbol.declarations);
  const inherits = !own && !isClass;
  const members = checker
    .getPropertiesOfType(type)
    .filter((each) => isPublic(each) && (inherits || declared.has(each.declarations![0]!.parent as ts.Declaration)));
  const shared = isClass ? (symbol.exports?.values() ?? []) : [];
  const fixed = [...shared].filter((each) => each.flags & SymbolFlags.Method && isPublic(each));
  const rows = [
    ...fixed.map((each) => ({ ...rowOf(each, checker), isStatic: true })),
    ...members.map((each) => ({ ...rowOf(each, checker), isStatic: false })),
  ];
  if (rows.length === 0) throw new Error(`${symbol.name} has no members to show`);
  const isOptions = rows.some((row) => row.fallback !== '');
  const head = isOptions ? ['option', 'type', 'default', ''] : ['member', ''];
  const lines = rows.map(({ name, type: text, isMethod, fallback, says, isStatic }) => {
    if (isOptions) return [`\`${name}\``, `\`${text}\``, fallback, says];
    return [`\`${isStatic ? `${symbol.name}.` : ''}${name}${isMethod ? '' : ': '}${text}\``, says];
  });
  const table = [head, head.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.map(escaped).join(' | ')} |`)
    .join('\n');
  // Aligned columns would be as wide as the longest text.
  return `<!-- biome-ignore format: made from the docstrings by \`pnpm docs:tables\` -->\n${table}`;
}

function isPublic(symbol: ts.Symbol): boolean {
  const [declaration] = symbol.declarations ?? [];
  // Members with a symbol as their name are for the language (`await using`), not to be called.
  if (declaration === undefined || symbol.name.startsWith('__') || symbol.name.startsWith('#')) return false;
  return (ts.getCombinedModifierFlags(declaration) & (ModifierFlags.Private | ModifierFlags.Protected)) === 0;
}

interface Row {
  readonly name: string;
  /** Of a method: its parameters and what it returns. */
  readonly type: string;
  readonly isMethod: boolean;
  readonly fallback: string;
  readonly says: string;
}

function rowOf(symbol: ts.Symbol, checker: ts.TypeChecker): Row {
  const declaration = symbol.declarations![0]!;
  const given = checker.getTypeOfSymbolAtLocation(symbol, declaration);
  const type = symbol.flags & SymbolFlags.Optional ? checker.getNonNullableType(given) : given;
  const isMethod = (symbol.flags & SymbolFlags.Method) !== 0;
  const text = isMethod
    ? checker.signatureToString(type.getCallSignatures()[0]!, declaration, FORMAT)
    : checker.typeToString(type, declaration, FORMAT);
  const doc = documentation(symbol, checker);
  const found = DEFAULTS.map((pattern) => pattern.exec(doc)).find((each) => each !== null);
  const says = found
    ? doc
        .replace(found[0], found[0].startsWith(';') ? '.' : '')
        .replace(/ +/g, ' ')
        .trim()
    : doc;
  return { name: symbol.name, type: text, isMethod, fallback: found?.[1] ?? '', says };
}

const FORMAT = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope;
/** "Default 10: all of them." as a sentence, or at the end of one: "Above 0; default 10." */
const DEFAULTS = [/(?:^|(?<=[.)] ))Default:? (.+?)\.(?= [A-Z`-]|$)/, /; default (.+?)\.(?= [A-Z`-]|$)/];

function documentation(symbol: ts.Symbol, checker: ts.TypeChecker): string {
  const parts = symbol.getDocumentationComment(checker).filter(({ kind }) => kind !== 'link');
  return parts
    .map(({ text }) => text)
    .join('')
    .replace(/\s+/g, ' ')
    .trim();
}

function escaped(cell: string): string {
  return cell.replaceAll('|', '\\|');
}

function contents(text: string): string {
  const headings = [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^## (.+)$/gm)].map(([, title]) => title!);
  return headings.map((title) => `[${title}](#${anchorOf(title)})`).join(' · ');
}

/** As GitHub makes it. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}
