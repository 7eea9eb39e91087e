// The lab's page as its users see it, in a browser.

import { findBrowser, openBrowser, takePicture, takesPictures } from '@overlapped/support/browser';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { interrupt, startLab } from './lab-process.js';

/** The test's own limit ends its waits. */
const patient = { timeout: 60_000 };
const path = findBrowser();

test('a browser is there, where none may be missing', (context) => {
  if (path !== undefined) return;
  if (process.env.OVERLAPPED_REQUIRE === 'all') expect.fail('Chromium is required here, and is not in the PATH');
  context.skip('Chromium is not in the PATH');
});

// Without a browser the test above says so.
describe.runIf(path !== undefined)('the page of the lab', { timeout: 90_000 }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser(path!);
  });
  afterAll(() => browser?.close());

  async function open(options: Parameters<Browser['newPage']>[0] = {}) {
    const lab = await startLab();
    const page = await browser.newPage(options);
    onTestFinished(() => page.close());
    page.setDefaultTimeout(patient.timeout);
    const complaints: string[] = [];
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => complaints.push(message.text()));
    await page.goto(lab.url);
    await page.locator('#status[data-state=live]').waitFor();
    return { lab, page, complaints };
  }

  test.each(['light', 'dark'] as const)('is in docs as a picture: %s', async (colorScheme) => {
    const { page } = await open({ viewport: { width: 1240, height: 720 }, colorScheme });
    await press(page, 'Blocked threads');
    await page.locator('.lane[data-state=blocked]').first().waitFor();
    // The time line of a lane is ten seconds long.
    if (takesPictures) await page.waitForTimeout(11_000);
    const [taken, kept] = await takePicture(
      page,
      new URL(`../../../docs/lab-${colorScheme}.png`, import.meta.url),
      true,
    );
    expect(taken).toEqual(kept);
  });

  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const slider = (page: Page, name: string) => page.getByRole('slider', { name });
  const done = async (page: Page) => {
    const counts = await page.locator('.served').allTextContents();
    return counts.reduce((sum, count) => sum + Number(count), 0);
  };

  test('works with the keyboard: the sliders set the port and the load, the buttons send packets', async () => {
    const { page, complaints } = await open();
    await expect.poll(() => page.locator('.lane').count(), patient).toBe(4);
    // No load: packets from now on are sent by the buttons.
    await slider(page, 'Load').press('Home');
    await slider(page, 'A handler takes').press('Home');
    await slider(page, 'Concurrency value').press('ArrowRight');
    await expect.poll(() => page.locator('.lane').count(), patient).toBe(6);
    expect(await page.locator('#concurrency-value').textContent()).toBe('3 of 6 threads');
    expect(await page.locator('.place:visible').count()).toBe(3);
    await expect.poll(() => done(page), patient).toBe(0);
    await page.getByRole('button', { name: 'Send 10 packets' }).press('Enter');
    await expect.poll(() => done(page), patient).toBe(10);
    await page.getByRole('button', { name: 'Send 1 packet' }).press('Space');
    await expect.poll(() => done(page), patient).toBe(11);
    await page.getByText('empty: a thread').waitFor();
    expect(complaints).toEqual([]);
  });

  test('shows each idea: a queue, threads that block, and the settings that show it', async () => {
    const { page, complaints } = await open();
    await press(page, 'FIFO queue');
    // On a busy machine the settings of before have a queue, too.
    await expect.poll(() => page.locator('.lane').count(), patient).toBe(2);
    await page.locator('.chip').first().waitFor();
    await page.locator('.lane[data-state=running]').first().waitFor();
    const numbers = (await page.locator('.chip').allTextContents()).map(Number);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));

    await press(page, 'Blocked threads');
    await page.locator('.lane[data-state=blocked]').first().waitFor();
    expect(await page.getByRole('button', { pressed: true }).allTextContents()).toEqual(['Blocked threads']);
    await page.getByText('gives its place away').waitFor();
    expect(await slider(page, 'Handlers that block').inputValue()).toBe('70');
    for (const colour of ['--running', '--blocked']) await draws(page, colour);
    expect(complaints).toEqual([]);
  });

  test.for(['light', 'dark'] as const)('is %s as the system is, and fits a phone', async (colorScheme) => {
    const { page, complaints } = await open({ colorScheme, viewport: { width: 390, height: 844 } });
    const luminance = () =>
      page.evaluate('getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/)[0]');
    expect(Number(await luminance()) > 128).toBe(colorScheme === 'light');
    await press(page, 'FIFO queue');
    await page.locator('.chip').nth(3).waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    await draws(page, '--running');
    // A finger needs 24 pixels at least (WCAG 2.2, 2.5.8).
    for (const control of await page.locator('button, input').all())
      expect((await control.boundingBox())!.height).toBeGreaterThanOrEqual(24);
    expect(complaints).toEqual([]);
  });

  test('moves less for readers who ask for it', async () => {
    const { page } = await open({ reducedMotion: 'reduce' });
    await press(page, 'FIFO queue');
    const chip = page.locator('.chip').first();
    await chip.waitFor();
    expect(await page.evaluate(`getComputedStyle(document.querySelector('.chip')).animationName`)).toBe('none');
  });

  test('says when the lab has ended', async () => {
    const { lab, page } = await open();
    expect(await interrupt(lab)).toBe(0);
    await page.locator('#status', { hasText: 'waiting for the server' }).waitFor();
    expect(await page.evaluate(`getComputedStyle(document.querySelector('main')).opacity`)).toBe('0.45');
  });
});

/** Waits until a time line has a point of a colour of the page. */
async function draws(page: Page, colour: string): Promise<void> {
  const isDrawn = `(() => {
    const patch = new OffscreenCanvas(1, 1).getContext('2d');
    patch.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('${colour}');
    patch.fillRect(0, 0, 1, 1);
    const [r, g, b] = patch.getImageData(0, 0, 1, 1).data;
    return Array.from(document.querySelectorAll('.timeline')).some(({ width, height }, i) => {
      const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(document.querySelectorAll('.timeline')[i], 0, 0);
      const { data } = copy.getImageData(0, 0, width, height);
      for (let at = 0; at < data.length; at += 4)
        if (data[at + 3] > 200 && Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 30)
          return true;
      return false;
    });
  })()`;
  await expect.poll(() => page.evaluate(isDrawn), { interval: 250, ...patient }).toBe(true);
}
