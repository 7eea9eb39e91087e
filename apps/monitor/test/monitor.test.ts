// The monitor without a browser: its answers, and that it measures nothing while no page is open.

import { createHash } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { expect, onTestFinished, test } from 'vitest';
import { openHttp, startMonitor } from '../src/index.js';
import type { Greeting, Sample } from '../src/sample.js';
import { native, startClient, startServer } from './support.js';

const ECHO = new URL('./echo-session.js', import.meta.url);
const reports = channel('overlapped:stats');

async function start() {
  const server = await startServer(0, ECHO);
  onTestFinished(() => server.core.stop(0));
  return server;
}

/** Opens the stream of samples. The first thing that it gives is the greeting. */
async function watch(url: string) {
  const request = get(new URL('/stats', url));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(response.headers['content-type']).toBe('text/event-stream');
  // Leaving, or the server's end, is an error of the stream.
  response.on('error', () => {});
  onTestFinished(() => void request.destroy());
  const lines = createInterface({ input: response });
  const values = lines[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    for (;;) {
      const { value, done } = await values.next();
      if (done) throw new Error('the stream has ended');
      if (value.startsWith('data: ')) return JSON.parse(value.slice('data: '.length));
    }
  };
  return { next, leave: () => request.destroy(), ended: new Promise((resolve) => response.once('close', resolve)) };
}

test('serves the page and all that it names', async () => {
  const { url } = await start();
  const page = await (await fetch(url)).text();
  const named = [...page.matchAll(/"(\/[^"]*)"/g)].map(([, path]) => path!);
  expect(named).toEqual(['/uplot.css', '/style.css', '/uplot.js', '/main.js']);
  for (const path of named) {
    const response = await fetch(new URL(path, url));
    expect([path, response.status]).toEqual([path, 200]);
    expect(response.headers.get('content-type')).toBe(
      `text/${path.endsWith('css') ? 'css' : 'javascript'}; charset=utf-8`,
    );
    expect((await response.text()).length).toBeGreaterThan(1000);
  }
});

test('answers nothing else', async () => {
  const { url } = await start();
  expect((await fetch(new URL('/constructor', url))).status).toBe(404);
  expect((await fetch(new URL('/package.json', url))).status).toBe(404);
  expect((await fetch(url, { method: 'POST' })).status).toBe(405);
});

test('answers HEAD, and whatever query a link has', async () => {
  const { url } = await start();
  expect((await fetch(`${url}?from=mail`)).status).toBe(200);
  for (const path of ['/', '/stats', '/main.js?v=1']) {
    const response = await fetch(new URL(path, url), { method: 'HEAD' });
    expect([path, response.status, await response.text()]).toEqual([path, 200, '']);
  }
});

test('answers requests that name this machine, and none with a name that resolves to it', async () => {
  const { url } = await start();
  const { hostname, port, host } = new URL(url);
  const statusFor = async (name: string) => {
    const request = get({ hostname, port, path: '/stats', headers: { host: name } });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.on('error', () => {});
    request.destroy();
    return response.statusCode;
  };
  for (const name of [host, `localhost:${port}`, 'LOCALHOST', '[::1]:80', '10.0.0.1']) {
    expect([name, await statusFor(name)]).toEqual([name, 200]);
  }
  for (const name of [`rebound.example:${port}`, 'localhost.example', '127.0.0.1.example', 'x:y', '127.0.0.1:80:80']) {
    expect([name, await statusFor(name)]).toEqual([name, 421]);
  }
});

test('tells browsers what the page may load, and that no other may show or read it', async () => {
  const { url } = await start();
  const page = await fetch(url);
  const policy = page.headers.get('content-security-policy')!;
  expect(policy).toMatch(/^default-src 'none'; script-src 'self' 'sha256-[^']{44}'; style-src 'self';/);
  const [, inline] = /<script type="importmap">(.*?)<\/script>/s.exec(await page.text())!;
  expect(policy).toContain(createHash('sha256').update(inline!).digest('base64'));
  for (const path of ['/', '/main.js', '/none', '/stats']) {
    const { headers } = await fetch(new URL(path, url), { method: 'HEAD' });
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('content-security-policy')).toMatch(/frame-ancestors 'none'/);
  }
});

test('sends rates, and the levels of the moment', async () => {
  const { core, port, url } = await start();
  const page = await watch(url);
  const greeting = await page.next<Greeting>();
  const { pid, version } = process;
  expect(greeting).toEqual({ name: 'echo', backend: core.backend, workers: 0, jobThreads: 0, pid, version });

  const client = startClient(port, 1000, () => 1);
  onTestFinished(() => void client.destroy());
  let sample: Sample;
  const rates = ({ total: { sent, packets, received, batch, dispatch } }: Sample) => [
    sent,
    packets,
    received,
    batch ?? 0,
    dispatch ?? 0,
  ];
  do sample = await page.next<Sample>();
  while (rates(sample).includes(0));
  expect(sample.threads).toEqual([sample.total]);
  expect(sample.total).toMatchObject({ connections: 1 });
  // The rates of a second, not the counters: earlier work of the client is not in a later one.
  client.destroy();
  do sample = await page.next<Sample>();
  while (sample.total.received + sample.total.sent > 0);
  expect(sample.total).toMatchObject({ connections: 0, received: 0, sent: 0 });
});

// Elsewhere the core's own thread serves shared sessions.
test.runIf(native)('shows the threads of the shared port', async () => {
  const core = new IocpCore({ concurrency: 2, threads: 3 });
  onTestFinished(() => core.stop(0));
  const shared = new URL('./shared-echo.js', import.meta.url);
  const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, shared });
  const page = await watch(await startMonitor(core, '127.0.0.1', 0));
  expect(await page.next<Greeting>()).toMatchObject({ workers: 3 });
  const client = startClient(endpoint.port, 1000, () => 1);
  onTestFinished(() => void client.destroy());
  let sample: Sample;
  do sample = await page.next<Sample>();
  while (sample.total.sent === 0);
  const [main, ...threads] = sample.threads;
  expect(main!.packets).toBe(0);
  expect(threads).toHaveLength(3);
  expect(threads.some(({ packets, received, sent }) => packets > 0 && received > 0 && sent > 0)).toBe(true);
  expect(sample.total).toMatchObject({ connections: 1 });
});

test('measures only while a page is open', async () => {
  const { url } = await start();
  expect(reports.hasSubscribers).toBe(false);
  const [one, other] = [await watch(url), await watch(url)];
  expect(reports.hasSubscribers).toBe(true);
  one.leave();
  await other.next<Greeting>();
  await other.next<Sample>();
  other.leave();
  while (reports.hasSubscribers) await new Promise((resolve) => setImmediate(resolve));
});

test('shows its own core, not another one of the process', async () => {
  const { url } = await start();
  const other = await start();
  const client = connect({ port: other.port, host: '127.0.0.1' });
  onTestFinished(() => void client.destroy());
  const [page, otherPage] = [await watch(url), await watch(other.url)];
  for (const { next } of [page, otherPage]) await next<Greeting>();
  let sample: Sample;
  do sample = await otherPage.next<Sample>();
  while (sample.total.connections === 0);
  // Both have reported since then.
  for (let i = 0; i < 3; i++) expect((await page.next<Sample>()).total.connections).toBe(0);
});

test('ends with its core, also while a page is open', async () => {
  const { core, url } = await start();
  const page = await watch(url);
  await core.stop();
  await page.ended;
  await expect(fetch(url)).rejects.toThrow();
});

test('a pool of jobs is sampled: its levels, its jobs a second, and how often each thread woke', async () => {
  const core = new IocpCore({ threads: 0 });
  onTestFinished(() => core.stop(0));
  const stats = { queued: 3, running: 2, finished: 10, failed: 0, wakeUps: [5, 5] };
  const pool = { stats };
  const page = await watch(await startMonitor(core, '127.0.0.1', 0, { jobs: pool }));
  expect(await page.next<Greeting>()).toMatchObject({ name: 'Overlapped', jobThreads: 2 });
  const first = await page.next<Sample>();
  expect(first.jobs).toEqual({ queued: 3, running: 2, done: 0, wakeUps: [0, 0] });
  // The delay of the event loop while the page began is not shown as the server's.
  expect(first.loop).toBeNull();
  // Thread 0 was lost, and the counter of the one in its place begins at 0.
  pool.stats = { ...stats, finished: 1010, failed: 1000, wakeUps: [1, 505] };
  let jobs: Sample['jobs'];
  do ({ jobs } = await page.next<Sample>());
  while (jobs?.done === 0);
  const [lost, other] = jobs!.wakeUps;
  expect(lost).toBe(0);
  expect(jobs!.done / other!).toBeCloseTo(2000 / 500);
});

test('a POST is answered where one is, and not to the page of another site', async () => {
  const bodies: string[] = [];
  const { url, stop } = await openHttp('127.0.0.1', 0, {
    '/both': (response) => void response.end('read'),
    'POST /both': (response) => {
      bodies.push('posted');
      response.end();
    },
  });
  onTestFinished(stop);
  const post = (path: string, headers = {}) => fetch(`${url}${path}`, { method: 'POST', headers });
  expect(await (await fetch(`${url}/both`)).text()).toBe('read');
  expect((await post('/both')).status).toBe(200);
  expect((await post('/both', { origin: url })).status).toBe(200);
  expect((await post('/both', { origin: 'http://elsewhere.example' })).status).toBe(403);
  expect((await post('/none')).status).toBe(404);
  expect((await fetch(`${url}/both`, { method: 'PUT' })).status).toBe(405);
  expect(bodies).toEqual(['posted', 'posted']);
});

test('rejects when its port is taken', async () => {
  const { url } = await start();
  const core = new IocpCore({ threads: 0 });
  onTestFinished(() => core.stop(0));
  await expect(startMonitor(core, '127.0.0.1', Number(new URL(url).port))).rejects.toThrow(/EADDRINUSE/);
});
