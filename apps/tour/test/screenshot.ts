// Takes the pictures of the lab that the docs keep, light and dark, while some handlers block. It takes half a minute. Run by
// `pnpm screenshot`, after a build.

import { fileURLToPath } from 'node:url';
import { findBrowser, openBrowser } from '@overlapped/support/browser';
import { openLab } from '../lab/lab.js';

const MILLISECONDS = 11_000;
// From dist/, where this is built.
const FOLDER = new URL('../../../docs/', import.meta.url);

const path = findBrowser();
if (path === undefined) throw new Error('Chromium is not in the PATH');
const lab = await openLab();
const browser = await openBrowser(path);
try {
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({ viewport: { width: 1240, height: 720 }, colorScheme });
    await page.goto(lab.url);
    await page.getByRole('button', { name: 'Blocked threads' }).click();
    await page.waitForTimeout(MILLISECONDS);
    await page.screenshot({ path: fileURLToPath(new URL(`lab-${colorScheme}.png`, FOLDER)), fullPage: true });
    await page.close();
  }
} finally {
  await browser.close();
  await lab.stop();
}
