// Every public name is documented, and what it names is public, too: see src/api.mjs. No link inside of the site is dead.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';

interface SearchData {
  rows: { name: string }[];
  index: object;
}
interface Lunr {
  Index: { load(index: object): { search(query: string): { ref: string }[] } };
}

const API = fileURLToPath(new URL('../src/api.mjs', import.meta.url));

test('the pages of the API can be built, and each link leads somewhere', { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'overlapped-api-'));
  try {
    const { status, stdout, stderr } = spawnSync(process.execPath, [API, folder], { encoding: 'utf8' });
    // Warnings and errors have a colour of their own.
    expect((stdout + stderr).split('\n').filter((line) => !line.includes('[info]') && line !== '')).toEqual([]);
    expect(status).toBe(0);
    const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'));
    expect(pages.length).toBeGreaterThan(100);
    expect(pages).toContain(join('documents', 'docs_FAQ.html'));
    expect(pages.flatMap((page) => deadLinks(folder, page))).toEqual([]);
    const find = searchOf(folder);
    expect(find('JobPool')).toContain('JobPool');
    // The search finds words of the guide, too, in both languages; a word of Korean also before its particle.
    expect(find('epolloneshot')).toEqual(expect.arrayContaining(['3. How it works, step by step', '3. 동작 흐름']));
    expect(find('가비지')).toContain('5. 주의사항');
    expect(find('레코드')).toContain('2. 구현 요소');
    // A page is listed by its heading.
    const titled = readFileSync(join(folder, 'documents', 'docs_guide_ko_1-overview.html'), 'utf8');
    expect(titled).toContain('<title>1. 개요 | Overlapped</title>');
    // Drawings are pictures, and load nothing from elsewhere.
    for (const language of ['en', 'ko']) {
      const page = readFileSync(join(folder, 'documents', `docs_guide_${language}_life-cycles.html`), 'utf8');
      expect(page.match(/<svg [^>]*viewBox="0 0 [\d.]+ [\d.]+" width="[\d.]+"/g)).toHaveLength(3);
      expect(page).not.toMatch(/class="mermaid"|@import/);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** The search of the site: the names that it lists for a word. The page puts the wildcards around a word, too. */
function searchOf(folder: string): (word: string) => string[] {
  const [, text] = /"([^"]+)"/.exec(readFileSync(join(folder, 'assets', 'search.js'), 'utf8'))!;
  const { rows, index } = JSON.parse(inflateSync(Buffer.from(text!, 'base64')).toString()) as SearchData;
  const lunr = createRequire(fileURLToPath(import.meta.resolve('typedoc')))('lunr') as Lunr;
  const loaded = lunr.Index.load(index);
  return (word) => loaded.search(`*${word}*`).map(({ ref }) => rows[Number(ref)]!.name);
}

function deadLinks(folder: string, page: string): string[] {
  const links = readFileSync(join(folder, page), 'utf8').matchAll(/href="([^"#:]+)(?:#[^"]*)?"/g);
  const targets = [...links].map(([, link]) => link!);
  return [...new Set(targets)]
    .filter((link) => !existsSync(resolve(folder, dirname(page), link)))
    .map((link) => `${page}: ${link}`);
}
