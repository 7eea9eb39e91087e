// Takes the picture of the page that the docs keep, of a server with four worker threads under a load that comes and goes.
// It takes a minute and a half. Run by `pnpm screenshot`, after a build.

import { fileURLToPath } from 'node:url';
import { findBrowser, openBrowser } from '@overlapped/support/browser';
import { startClient, startServer } from './support.js';

const SECONDS = 90;
const CLIENTS = 240;
// From dist/, where this is built.
const ECHO = new URL('../test/echo-session.js', import.meta.url);
const PICTURE = fileURLToPath(new URL('../../../docs/monitor.png', import.meta.url));

const path = findBrowser();
if (path === undefined) throw new Error('Chromium is not in the PATH');
const { core, port, url } = await startServer(4, ECHO);
const browser = await openBrowser(path);
const clients = new Set<ReturnType<typeof startClient>>();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 760 }, colorScheme: 'dark' });
  await page.goto(url);
  for (let second = 0; second < SECONDS; second++) {
    const wanted = CLIENTS * (0.6 + 0.4 * Math.sin(second / 9)) * Math.min(1, second / 20);
    while (clients.size < wanted)
      clients.add(startClient(port, 200, () => 4 + Math.random() * (20 + 15 * Math.cos(second / 6))));
    for (const client of clients) {
      if (clients.size <= wanted) break;
      client.destroy();
      clients.delete(client);
    }
    await page.waitForTimeout(1000);
  }
  await page.screenshot({ path: PICTURE });
} finally {
  await browser.close();
  for (const client of clients) client.destroy();
  await core.stop();
}
