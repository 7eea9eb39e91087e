// The monitor: a page with live charts of a core's statistics, on an HTTP server that ends with the core.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { IocpCore } from '@overlapped/session';
import { Feed, type MonitorOptions } from './feed.js';
import { fileAnswer, serveHttp } from './http.js';

export type { Jobs, MonitorOptions } from './feed.js';
export { type Answer, fileAnswer, openHttp, serveHttp } from './http.js';

const require = createRequire(import.meta.url);
const ours = (path: string) => new URL(`../${path}`, import.meta.url);
const uplot = (path: string) => pathToFileURL(require.resolve(`uplot/dist/${path}`));

/** The files of the page. */
const FILES: readonly (readonly [path: string, type: string, file: URL])[] = [
  ['/', 'text/html', ours('page/index.html')],
  ['/style.css', 'text/css', ours('page/style.css')],
  ['/main.js', 'text/javascript', ours('dist/page/main.js')],
  ['/uplot.css', 'text/css', uplot('uPlot.min.css')],
  ['/uplot.js', 'text/javascript', uplot('uPlot.esm.js')],
];

/**
 * Shows the statistics of a core on a page, until the core stops, and gives the page's URL. They are measured while the page
 * is open somewhere. Rejects with the system's error: EADDRINUSE ... Port 0 takes a free one.
 */
export async function startMonitor(
  core: IocpCore,
  host: string,
  port: number,
  options: MonitorOptions = {},
): Promise<string> {
  const feed = new Feed(core, options);
  const page = await readFile(ours('page/index.html'), 'utf8');
  const policy = policyOf(page);
  const files = await Promise.all(
    FILES.map(async ([path, type, file]) => [path, fileAnswer(type, await readFile(file), policy)]),
  );
  const url = await serveHttp(core, host, port, {
    ...Object.fromEntries(files),
    '/stats': (response) => feed.add(response),
  });
  return `${url}/`;
}

/** The policy of the page: it may load its own files, its icon, and the one script in it, by its hash. */
function policyOf(page: string): string {
  const [, inline = ''] = /<script type="importmap">(.*?)<\/script>/s.exec(page) ?? [];
  const hash = createHash('sha256').update(inline).digest('base64');
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
