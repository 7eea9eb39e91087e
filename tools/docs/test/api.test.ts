// Every public name is documented, and what it names is public, too: see src/api.mjs. No link inside of the site is dead.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';

const API = fileURLToPath(new URL('../src/api.mjs', import.meta.url));

test('the pages of the API can be built, and each link leads somewhere', { timeout: 120_000 }, () => {
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
    // The search finds words of the guide, too, not names alone.
    const [, index] = /"([^"]+)"/.exec(readFileSync(join(folder, 'assets', 'search.js'), 'utf8'))!;
    expect(inflateSync(Buffer.from(index!, 'base64')).toString()).toContain('epolloneshot');
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

function deadLinks(folder: string, page: string): string[] {
  const links = readFileSync(join(folder, page), 'utf8').matchAll(/href="([^"#:]+)(?:#[^"]*)?"/g);
  const targets = [...links].map(([, link]) => link!);
  return [...new Set(targets)]
    .filter((link) => !existsSync(resolve(folder, dirname(page), link)))
    .map((link) => `${page}: ${link}`);
}
