// docs/guide: both languages have the same ideas, links, commands and code; what they name exists; no idea of the model is left out.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lines, root } from '../src/repository.js';

const GUIDE = join(root, 'docs/guide');
const TOUR = join(root, 'apps/tour/src');
const IN = join(root, 'packages');

/** Every idea of the model, in the order in which it is taught: the anchors of each page. */
const IDEAS = {
  '1-overview': ['asynchronous', 'thread-pool', 'scalability', 'fifo', 'lifo'],
  '2-classes': [
    ...['iocp-core', 'create-port', 'workers', 'post', 'iocp-event', 'listener'],
    ...['session', 'session-data', 'session-io'],
  ],
  '3-flow': [
    ...['init', 'accept', 'accept-worker', 'first-receive'],
    ...['data', 'receive', 'identify', 'parse', 'next-receive', 'send', 'sent', 'end', 'zero-bytes'],
  ],
  '4-advantages': ['performance', 'responsiveness', 'stability'],
  '5-cautions': [...['complexity', 'errors', 'resources', 'object-pool', 'concurrency-value', 'more-threads', 'apis']],
  'from-cpp': ['names', 'packet-header'],
  models: ['comparison', 'completion-routines'],
  errors: ['steps', 'codes'],
  'life-cycles': ['port-and-threads', 'event-life', 'session-life', 'connection-life'],
  README: ['pages'],
};

const pages = Object.keys(IDEAS) as (keyof typeof IDEAS)[];
const read = (language: string, page: string) => readFileSync(join(GUIDE, language, `${page}.md`), 'utf8');
const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, found]) => found!);
const anchorsOf = (text: string) => all(text, /^<a id="([\w-]+)"><\/a>$/gm);
const codeOf = (text: string) => all(text, /^(```[\s\S]*?^```)$/gm);
const linksOf = (text: string) => all(text, /(?<!`\[\w+)\]\(([^)]+)\)/g);
const programsOf = (text: string) => all(text, /`pnpm tour ([a-z]+)`/g);
const withoutCode = (text: string) => text.replace(/^```[\s\S]*?^```$/gm, '');

/** What has the same form in both languages: levels of headings with their anchors, boxes, tables, lists, and where a line of proofs stands. */
function structureOf(text: string): string[] {
  return lines(withoutCode(text)).flatMap((line) => {
    const heading = /^#+ /.exec(line)?.[0];
    if (heading) return [heading];
    if (line.startsWith('<a id=')) return [line];
    if (line.startsWith('> ')) return ['box'];
    if (line.startsWith('|')) return [`row of ${line.split('|').length - 2}`];
    if (/^(-|\d\.) /.test(line)) return ['item'];
    return line.includes(' · ') ? [line] : [];
  });
}

test('both languages have every page, and no other', () => {
  const files = pages.map((page) => `${page}.md`).toSorted();
  expect(readdirSync(join(GUIDE, 'en')).toSorted()).toEqual(files);
  expect(readdirSync(join(GUIDE, 'ko')).toSorted()).toEqual(files);
});

describe.each(pages)('%s', (page) => {
  const [en, ko] = [read('en', page), read('ko', page)];

  test('has every idea, in order', () => {
    expect(anchorsOf(en)).toEqual(IDEAS[page]);
  });

  test('is the same in both languages but for the words', () => {
    expect(structureOf(ko)).toEqual(structureOf(en));
    expect(codeOf(ko)).toEqual(codeOf(en));
    expect(linksOf(ko).filter((link) => !link.endsWith('README.md'))).toEqual(
      linksOf(en).filter((link) => !link.endsWith('README.md')),
    );
  });

  test('is in its language', () => {
    expect(withoutCode(en).replace('[한국어]', '')).not.toMatch(/[가-힣]/);
    // A heading may be a name alone.
    const prose = lines(withoutCode(ko)).filter((line) => line.length > 60 && !/ · |^[|\d[-]/.test(line));
    expect(prose.filter((line) => !/[가-힣]/.test(line))).toEqual([]);
  });

  test('names files, tests and programs that exist', () => {
    const here = join(GUIDE, 'en');
    const targets = linksOf(en).map((link) => link.replace(/#.*/, ''));
    expect(targets.filter((target) => !existsSync(join(here, target)))).toEqual([]);
    const tests = [...en.matchAll(/\]\(([^)]+\.ts)\) "([^"]+)"/g)];
    const isTest = ([, file, title]: RegExpMatchArray) => {
      const text = readFileSync(join(here, file!), 'utf8');
      return ["'", '"', '`'].some((quote) => text.includes(`${quote}${title}${quote},`));
    };
    expect(tests.filter((each) => !isTest(each)).map(([, file, title]) => `${file}: ${title}`)).toEqual([]);
    expect(programsOf(en).filter((name) => !existsSync(join(TOUR, `${name}.ts`)))).toEqual([]);
  });
});

test.each(pages.filter((page) => /^\d/.test(page)))('%s has a test and a program under each idea', (page) => {
  const sections = read('en', page)
    .split(/^<a id="/m)
    .slice(1);
  // A heading of other headings has no text of its own.
  const ideas = sections.filter((section) => lines(section).filter((line) => line !== '').length > 2);
  const bare = ideas.filter((section) => !/\.ts\) "/.test(section) || programsOf(section).length === 0);
  expect(bare.map((section) => section.split('"')[0])).toEqual([]);
});

describe('the programs of the tour', () => {
  const programs = readdirSync(TOUR).map((file) => file.replace('.ts', ''));
  const named = [...new Set(pages.flatMap((page) => programsOf(read('en', page))))].toSorted();

  test('are all named', () => {
    expect(named).toEqual(programs.filter((name) => name !== 'cli').toSorted());
  });

  test('are run by a test, with the file that `pnpm tour` runs', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: { tour: string } };
    expect(scripts.tour).toMatch(/ && node apps\/tour\/dist\/cli\.js$/);
    const [tests, lab] = ['tour.test.ts', 'lab-process.ts'].map((file) =>
      readFileSync(join(TOUR, '../test', file), 'utf8'),
    );
    expect(tests).toContain("'../dist/cli.js'");
    expect(lab).toContain("'../dist/cli.js'");
    const run = [...all(tests!, /outputOf\('(\w+)'\)/g), ...all(lab!, /\[CLI, '(\w+)'/g)];
    expect([...new Set(run)].toSorted()).toEqual(named);
  });
});

describe('the codes of errors', () => {
  const codes = all(read('en', 'errors'), /^\| `(E[A-Z]+)`/gm);
  const sources = readdirSync(IN, { recursive: true, encoding: 'utf8' })
    .filter((path) => /^[\w-]+[\\/]src[\\/].*\.ts$/.test(path))
    .map((path) => readFileSync(join(IN, path), 'utf8'))
    .join('\n');

  test('are in order, and the same in both languages', () => {
    expect(codes).toEqual([...new Set(codes)].toSorted());
    expect(all(read('ko', 'errors'), /^\| `(E[A-Z]+)`/gm)).toEqual(codes);
  });

  test('are all those of the code, and no others', () => {
    const known = [...new Set(all(sources, /'(E[A-Z]{3,})'/g))];
    expect(known.length).toBeGreaterThan(30);
    expect(known.filter((code) => !codes.includes(code))).toEqual([]);
    expect(codes.filter((code) => !sources.includes(`'${code}'`))).toEqual([]);
  });
});
