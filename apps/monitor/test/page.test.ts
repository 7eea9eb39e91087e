// The page as its users see it, in a browser.

import { findBrowser, openBrowser, takePicture, takesPictures } from '@overlapped/support/browser';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../../vitest.ports.js';
import { startImitation } from './imitation.js';
import { native, startClient, startServer } from './support.js';

const ECHO = new URL('./echo-session.js', import.meta.url);
const CLIENTS = 6;
/** The test's own limit ends its waits. */
const patient = { timeout: 60_000 };
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

  /** Opens it. `complaints` are the errors and warnings of the browser. */
  async function open(
    url: string,
    options: Parameters<Browser['newPage']>[0] = {},
  ): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage(options);
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

  test('is in docs as a picture', { timeout: 180_000 }, async () => {
    const { core, port, url } = await startServer(native ? 4 : 0, ECHO);
    onTestFinished(() => core.stop(0));
    const { page } = await open(url, { viewport: { width: 1280, height: 760 }, colorScheme: 'dark' });
    if (takesPictures) await comeAndGo(page, port);
    else load(port);
    await changesTwice(page, 'packets');
    const [taken, kept] = await takePicture(page, new URL('../../../docs/monitor.png', import.meta.url));
    expect(taken).toEqual(kept);
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
    await showsFigure(page, 'connections', '0');
    expect(await page.evaluate(opacity)).toBe('1');
    await first.core.stop(0);
    await page.locator('#status[data-state=waiting]').waitFor();
    // Figures of a server that is gone do not look like those of now.
    expect(await page.evaluate(opacity)).toBe('0.4');

    const second = await startServer(0, ECHO, Number(new URL(first.url).port));
    onTestFinished(() => second.core.stop(0));
    await page.locator('#status[data-state=live]').waitFor();
    load(second.port);
    await showsFigure(page, 'connections', String(CLIENTS));
  });

  test('says in its title which server it shows', async () => {
    const { core, url } = await startServer(0, ECHO);
    onTestFinished(() => core.stop(0));
    const { page } = await open(url);
    await page.locator('#status[data-state=live]').waitFor();
    expect(await page.title()).toBe(`echo ${new URL(url).host}`);
    expect(await page.locator('h1').textContent()).toBe('echo');
  });

  test('tells the values under the pointer, and those of now', async () => {
    let queued = 0;
    const pool = {
      // One more with each sample.
      get stats() {
        return { queued: queued++, running: 0, finished: 0, failed: 0, wakeUps: [0] };
      },
    };
    const { page, complaints } = await open(await startImitation(3, pool));
    const chart = page.locator('.chart').first();
    const values = chart.locator('.key b');
    await expect.poll(() => values.allTextContents(), patient).toEqual(['0', '1', '2', '3']);
    expect(await chart.locator('time').count()).toBe(0);
    // A minute is as wide as the chart, and the newest sample is at its right edge.
    const { width, height } = (await chart.locator('.u-over').boundingBox())!;
    await chart.locator('.u-over').hover({ position: { x: width - 2, y: height / 2 } });
    await chart.locator('time', { hasText: /^\d\d:\d\d:\d\d$/ }).waitFor();
    expect(await values.allTextContents()).toEqual(['0', '1', '2', '3']);
    // At the left edge the nearest sample is the first one, whose value is not that of now.
    const jobs = page.locator('.chart', { hasText: 'in the queue, under way' });
    const first = await jobs.locator('.key b').first().textContent();
    await jobs.locator('.u-over').hover({ position: { x: 1, y: 10 } });
    await expect.poll(() => queued, patient).toBeGreaterThan(Number(first) + 3);
    expect(Number(await jobs.locator('.key b').first().textContent())).toBeLessThanOrEqual(Number(first));
    expect(complaints).toEqual([]);
  });

  test('of many threads it names the one that the keyboard, or a finger, chooses', async () => {
    const { page, complaints } = await open(await startImitation(24));
    const key = page.locator('.chart .key').first();
    await showsFigure(page, 'connections', '300');
    await expect.poll(() => key.textContent(), patient).toMatch(/^point at a line/);
    const button = page.locator('#threads button').nth(9);
    await button.focus();
    await expect.poll(() => key.textContent(), patient).toBe('worker 8 9');
    await button.press('Space');
    expect(await button.getAttribute('aria-pressed')).toBe('true');
    await button.blur();
    await expect.poll(() => key.textContent(), patient).toBe('worker 8 9');
    await button.click();
    expect(await button.getAttribute('aria-pressed')).toBe('false');
    expect(complaints).toEqual([]);
  });

  test('shows the queue and the threads of a pool of jobs', async () => {
    const stats = { queued: 7, running: 2, finished: 0, failed: 0, wakeUps: [0, 0] };
    const { page, complaints } = await open(await startImitation(1, { stats }));
    const keyOf = (title: string) => page.locator('.chart', { hasText: title }).locator('.key').textContent();
    await expect.poll(() => keyOf('Jobs'), patient).toBe('queued 7running 2done 0');
    await expect.poll(() => keyOf('Wake-ups of job threads'), patient).toBe('thread 0 0thread 1 0');
    expect(complaints).toEqual([]);
  });

  test('fits a phone: nothing is cut off, and the patches of the keys keep their size', async () => {
    const { page } = await open(await startImitation(3));
    await page.setViewportSize({ width: 390, height: 844 });
    await showsFigure(page, 'connections', '6');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    const widths = await page.locator('.key i').evaluateAll((patches) => patches.map((each) => each.clientWidth));
    expect(new Set(widths)).toEqual(new Set([10]));
    const cut = await page
      .locator('.chart p')
      .evaluateAll((texts) => texts.filter((each) => each.scrollWidth > each.clientWidth).length);
    expect(cut).toBe(0);
    // Two tiles beside each other.
    const [first, second] = await Promise.all([0, 1].map((i) => page.locator('#tiles > div').nth(i).boundingBox()));
    expect(second!.y).toBe(first!.y);
  });

  test.for(['light', 'dark'] as const)('its colours can be told from the page when it is %s', async (colorScheme) => {
    const { page } = await open(await startImitation(24));
    await page.emulateMedia({ colorScheme });
    await showsFigure(page, 'connections', '300');
    const [lines, texts] = await page.evaluate(contrasts);
    // WCAG 2.2 demands 3 for graphics (1.4.11), 4.5 for text (1.4.3).
    expect(Math.min(...lines)).toBeGreaterThan(3);
    expect(Math.min(...texts)).toBeGreaterThan(4.5);
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

/** In the page: of a tile's figure. */
const opacity = `getComputedStyle(document.querySelector('#tiles dd')).opacity`;

/** In the page: the contrast of the threads' colours with a card, and of texts with their background. */
const contrasts = `(() => {
  const pixel = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const luminance = (colour) => {
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...pixel.getImageData(0, 0, 1, 1).data].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const of = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
  const card = of('.chart', 'backgroundColor');
  const page = of('html', 'backgroundColor');
  const patches = Array.from(document.querySelectorAll('#threads i'), (each) => getComputedStyle(each).backgroundColor);
  return [
    patches.map((colour) => contrast(colour, card)),
    [contrast(of('#status', 'color'), page), contrast(of('#server', 'color'), page), contrast(of('.chart p', 'color'), card)],
  ];
})()` as unknown as () => [lines: number[], texts: number[]];

function load(port: number): void {
  for (let i = 0; i < CLIENTS; i++) {
    const client = startClient(port, 100, () => 5 + Math.random() * 20);
    onTestFinished(() => void client.destroy());
  }
}

/** A load that comes and goes, for a minute and a half. */
async function comeAndGo(page: Page, port: number): Promise<void> {
  const clients = new Set<ReturnType<typeof startClient>>();
  onTestFinished(() => {
    for (const client of clients) client.destroy();
  });
  for (let second = 0; second < 90; second++) {
    const wanted = 240 * (0.6 + 0.4 * Math.sin(second / 9)) * Math.min(1, second / 20);
    while (clients.size < wanted)
      clients.add(startClient(port, 200, () => 4 + Math.random() * (20 + 15 * Math.cos(second / 6))));
    for (const client of clients) {
      if (clients.size <= wanted) break;
      client.destroy();
      clients.delete(client);
    }
    await page.waitForTimeout(1000);
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
    const patch = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    patch.fillStyle = getComputedStyle(document.querySelectorAll('#threads i')[${thread}]).backgroundColor;
    patch.fillRect(0, 0, 1, 1);
    const [r, g, b] = patch.getImageData(0, 0, 1, 1).data;
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
