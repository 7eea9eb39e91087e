// The Chromium of this machine, for tests of pages, which also take the pictures in docs/: Debian's headless one, or another.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium-headless-shell', 'chromium', 'google-chrome'];

/** Its path; undefined if it is not in the PATH. */
export function findBrowser(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

export function openBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath });
}

/** The tests take new pictures for docs/. */
export const takesPictures = process.env.OVERLAPPED_PICTURES === '1';

/** Takes a picture of a page, for `file` if the tests take new ones. Gives its width and height, and those of the one in `file`. */
export async function takePicture(page: Page, file: URL, fullPage = false): Promise<[taken: number[], kept: number[]]> {
  const picture = await page.screenshot({ fullPage });
  if (takesPictures) writeFileSync(file, picture);
  return [sizeOf(picture), sizeOf(readFileSync(file))];
}

/** A PNG begins with 16 bytes that say what it is; then come width and height. */
const sizeOf = (png: Buffer): number[] => [png.readUInt32BE(16), png.readUInt32BE(20)];
