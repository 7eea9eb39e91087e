// The page as its users see it, in a browser.

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../../vitest.ports.js';
import { findBrowser, openBrowser } from './browser.js';
import { startImitation } from './imitation.js';
import { native, startClient, startServer } from './support.js';

const ECHO = new URL('./echo-session.js', import.meta.url);
const CLIENTS = 6;
const path = findBrowser();

test('a browser is there, where none may be missing', (context) => {
  if (path !== undefined) return;
  if (process.env.OVERLAPPED_REQUIRE === 'all') expect.fail('Chromium is required here, and is not in the PATH');
  context.skip('Chromium is not in the PATH');
});

// Without a browser the test above says so.
describe.runIf(path !== undefined)('the page', { timeout: 90_000 }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser(path!);
  });
  afterAll(() => browser?.close());

  /** Opens it, and gives what the browser has to complain about. */
  async function open(url: string): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage();
    onTestFinished(() => page.close());
    // The test's own limit ends its waits.
    page.setDefaultTimeout(0);
    const complaints: string[] = [];
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (message.type() !== 'info' && message.type() !== 'log') complaints.push(message.text());
    });
    await page.goto(url);
    return { page, complaints };
  }

  // Sockets of node:net cannot move between threads.
  const ways = native ? [0, 2] : [0];
  test.for(ways)('shows the load of a server with %d worker threads', async (threads) => {
    const { core, port, url } = await startServer(threads, ECHO);
    onTestFinished(() => core.stop(0));
    const { page, complaints } = await open(url);
    await showsFigure(page, 'connections', '0');
    expect(await page.locator('#threads li').count()).toBe(threads === 0 ? 1 : threads + 1);

    load(port);
    await showsFigure(page, 'connections', String(CLIENTS));
    await changesTwice(page, 'packets');
    // Each thread that serves has its share, and its line in the charts.
    const [main, ...workers] = await page.locator('#threads em').allTextContents();
    expect([main, ...workers]).toEqual(threads === 0 ? [String(CLIENTS)] : ['0', '3', '3']);
    for (let thread = 0; thread <= threads; thread++) await drawsLine(page, thread);
    expect(complaints).toEqual([]);
  });

  test('has room for 64 worker threads', async () => {
    const { page, complaints } = await open(await startImitation(64));
    await showsFigure(page, 'connections', '2,080');
    expect(await page.locator('#threads em').allTextContents()).toEqual(
      Array.from({ length: 65 }, (_, i) => String(i)),
    );
    for (const thread of [0, 1, 64]) await drawsLine(page, thread);
    expect(complaints).toEqual([]);
  });

  test('comes back when the server does', async () => {
    const first = await startServer(0, ECHO, await freePort());
    const { page } = await open(first.url);
    await page.locator('#status[data-state=live]').waitFor();
    await first.core.stop(0);
    await page.locator('#status[data-state=waiting]').waitFor();

    const second = await startServer(0, ECHO, Number(new URL(first.url).port));
    onTestFinished(() => second.core.stop(0));
    await page.locator('#status[data-state=live]').waitFor();
    load(second.port);
    await showsFigure(page, 'connections', String(CLIENTS));
  });

  test('is light or dark, as the system is', async () => {
    const { core, url } = await startServer(0, ECHO);
    onTestFinished(() => core.stop(0));
    const { page, complaints } = await open(url);
    await showsFigure(page, 'connections', '0');
    const background = () => page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await background();
    await drawsLine(page, 0);
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await background()).not.toBe(light);
    await drawsLine(page, 0);
    expect(complaints).toEqual([]);
  });
});

function load(port: number): void {
  for (let i = 0; i < CLIENTS; i++) {
    const client = startClient(port, 100, () => 5 + Math.random() * 20);
    onTestFinished(() => void client.destroy());
  }
}

async function showsFigure(page: Page, name: string, text: string): Promise<void> {
  await page.locator(`[data-figure=${name}]`, { hasText: new RegExp(`^${text}$`) }).waitFor();
}

/** From nothing to something, and to something else. */
async function changesTwice(page: Page, name: string): Promise<void> {
  const figure = page.locator(`[data-figure=${name}]`);
  for (let i = 0; i < 2; i++) {
    const before = await figure.textContent();
    await figure.and(page.locator(`:not(:text-is("${before}"), :text-is("0"), :text-is("0 B"))`)).waitFor();
  }
}

/**
 * Waits until a chart has a point of the colour that the list of threads gives to one of them. It asks from outside of the
 * page: the page's policy lets no text be run as code, and waitForFunction() does that in the page when it asks again.
 */
async function drawsLine(page: Page, thread: number): Promise<void> {
  const isDrawn = `(() => {
    const [r, g, b] = getComputedStyle(document.querySelectorAll('#threads i')[${thread}]).backgroundColor.match(/\\d+/g);
    return Array.from(document.querySelectorAll('#charts canvas')).some((canvas) => {
      const { width, height } = canvas;
      const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, width, height);
      for (let i = 0; i < data.length; i += 4) {
        const distance = Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b);
        if (data[i + 3] > 100 && distance < 24) return true;
      }
      return false;
    });
  })()`;
  await expect.poll(() => page.evaluate(isDrawn), { interval: 250, timeout: 60_000 }).toBe(true);
}
