// The command as its users run it: the built one, in a process of its own.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { candidates } from '@overlapped/session';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../../vitest.ports.js';
import { startEcho } from '../src/server.js';
import { labelled, metricsUrl, scrapeUntil } from './prometheus.js';
import { fakeServer, run, serve } from './support.js';

/** Windows has no signals that another process could send: kill() just terminates it. */
const noSignals = process.platform === 'win32';

/** Whether the server can have worker threads here. */
const native = candidates().some(({ name, availability }) => name !== 'portable' && availability.available);

async function client(port: number, allowHalfOpen = false): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

async function roundTrip(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let answer = '';
  while (answer.length < text.length) answer += String((await once(socket, 'data'))[0]);
  return answer;
}

async function inProcess(): Promise<number> {
  const { core, listener } = await startEcho({ host: '127.0.0.1', port: 0, threads: 0 });
  onTestFinished(() => core.stop());
  return listener.endpoint.port;
}

function benchArgs(port: number): string[] {
  return ['bench', '--port', String(port), '--connections', '4', '--seconds', '1'];
}

describe('echo serve', { timeout: 60_000 }, () => {
  test('sends back what comes in, and says what it runs on', async () => {
    const { line, port } = await serve('--backend', 'portable');
    expect(line).toBe(`echo on 127.0.0.1:${port}, portable, main thread (SIGINT stops)`);
    expect(await roundTrip(await client(port), 'hello')).toBe('hello');
  });

  // Sockets of node:net cannot move between threads.
  test.runIf(native)('serves in worker threads', async () => {
    const { line, port } = await serve('--threads', '2');
    expect(line).toMatch(/, \w+, 2 threads \(SIGINT stops\)$/);
    const { code, stderr, stdout } = await run(...benchArgs(port), '--size', '20000', '--outstanding', '3');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/every byte verified\n$/);
    expect(code).toBe(0);
  });

  test('says so when the main thread serves after all', async () => {
    const { line, port } = await serve('--backend', 'portable', '--threads', '2');
    expect(line).toBe(`echo on 127.0.0.1:${port}, portable, main thread (SIGINT stops)`);
    expect(await roundTrip(await client(port), 'hello')).toBe('hello');
  });

  // Windows has no signals to send.
  test.skipIf(noSignals).each([
    ['SIGINT', '0'],
    ['SIGTERM', '0'],
    ['SIGINT', '2'],
    ['SIGTERM', '2'],
  ] as const)('%s ends it in order, with %s worker threads', async (signal, threads) => {
    const { child, exited, port } = await serve('--threads', threads);
    const sockets = [await client(port), await client(port)];
    for (const socket of sockets) await roundTrip(socket, 'hello');
    const ends = sockets.map((socket) => once(socket, 'end'));
    child.kill(signal);
    await Promise.all(ends);
    expect(await exited).toBe(0);
  });

  // Windows has no signals to send.
  test.skipIf(noSignals)('a second signal ends it at once', async () => {
    const { child, exited, port } = await serve();
    const stubborn = await client(port, true);
    await roundTrip(stubborn, 'hello');
    child.kill('SIGINT');
    await once(stubborn, 'end');
    child.kill('SIGINT');
    expect(await exited).toBe(1);
  });

  test('a port that is taken is one line', async () => {
    const port = await inProcess();
    const { code, stderr, stdout } = await run('serve', '--port', String(port));
    expect(stderr).toMatch(/^error: Cannot listen on 127\.0\.0\.1:\d+: .*\(EADDRINUSE, \w+\)\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });
});

describe('echo serve --metrics-port', { timeout: 60_000 }, () => {
  const ways = [
    { args: ['--threads', '0'], shares: { main: 4 } },
    ...(native ? [{ args: ['--threads', '2'], shares: { main: 0, 0: 2, 1: 2 } }] : []),
    { args: ['--backend', 'portable', '--threads', '2'], shares: { main: 4 } },
  ];
  test.each(ways)('$args: counts the traffic, in total and by thread', async ({ args, shares }) => {
    const { nextLine, port } = await serve('--metrics-port', '0', ...args);
    const url = await metricsUrl(nextLine);
    const message = 'x'.repeat(10_000);
    const sockets = [await client(port), await client(port), await client(port), await client(port)];
    for (const socket of sockets) expect(await roundTrip(socket, message)).toBe(message);

    // A thread writes one statistic after the other, and this one last.
    const stats = await scrapeUntil(url, (samples) => {
      return samples.overlapped_bytes_sent_total === 40_000 && samples.overlapped_queued_bytes === 0;
    });
    expect(stats).toMatchObject({
      overlapped_bytes_received_total: 40_000,
      overlapped_sessions_accepted_total: 4,
      overlapped_sessions_ended_total: 0,
      overlapped_sessions: 4,
    });
    const threads = Object.entries(shares);
    for (const [thread, clients] of threads) {
      expect(stats).toMatchObject({
        [`overlapped_thread_bytes_received_total{thread="${thread}"}`]: clients * 10_000,
        [`overlapped_thread_bytes_sent_total{thread="${thread}"}`]: clients * 10_000,
        [`overlapped_thread_sessions{thread="${thread}"}`]: clients,
      });
    }
    const sum = (name: string) => threads.reduce((total, [thread]) => total + stats[labelled(name, thread)]!, 0);
    expect(sum('packets_total')).toBe(stats.overlapped_packets_total);
    expect(sum('wake_ups_total')).toBe(stats.overlapped_wake_ups_total);
    const { overlapped_packets_total: packets, overlapped_wake_ups_total: wakeUps } = stats;
    expect(stats.overlapped_packets_per_wake_up).toBeCloseTo(packets! / wakeUps!);

    for (const socket of sockets) socket.end();
    await scrapeUntil(url, (samples) => samples.overlapped_sessions_ended_total === 4);
    await scrapeUntil(url, (samples) => samples.overlapped_sessions === 0);
  });

  test('answers nothing else', async () => {
    const { nextLine } = await serve('--metrics-port', '0');
    const url = await metricsUrl(nextLine);
    expect((await fetch(new URL('/', url))).status).toBe(404);
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
  });

  test('answers HEAD, and a scrape with parameters', async () => {
    const { nextLine } = await serve('--metrics-port', '0');
    const url = await metricsUrl(nextLine);
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
    expect(await (await fetch(`${url}?collect[]=all`)).text()).toContain('overlapped_sessions 0');
  });

  test('an address of the server is none of the stats, which have an option of their own', async () => {
    const { nextLine } = await serve('--host', '0.0.0.0', '--metrics-port', '0', '--monitor-port', '0');
    expect(await nextLine()).toMatch(/^metrics on http:\/\/127\.0\.0\.1:\d+\//);
    expect(await nextLine()).toMatch(/^monitor on http:\/\/127\.0\.0\.1:\d+\//);
    const asked = await serve('--metrics-port', '0', '--stats-host', '0.0.0.0');
    expect(await asked.nextLine()).toMatch(/^metrics on http:\/\/0\.0\.0\.0:\d+\//);
  });

  // Windows has no signals to send.
  test.skipIf(noSignals)('closes when the server stops, also with a scraper connected', async () => {
    const { child, exited, nextLine } = await serve('--metrics-port', '0', '--threads', '2');
    const { port } = new URL(await metricsUrl(nextLine));
    const scraper = await client(Number(port));
    const ended = once(scraper.resume(), 'end');
    child.kill('SIGINT');
    await ended;
    expect(await exited).toBe(0);
  });

  test('a port that is taken is one line, and nothing is left running', async () => {
    const taken = await inProcess();
    const { code, stderr, stdout } = await run('--port', '0', '--threads', '2', '--metrics-port', String(taken));
    expect(stderr).toMatch(/^error: Cannot serve metrics: .*EADDRINUSE.* 127\.0\.0\.1:\d+\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });
});

describe('echo serve --monitor-port', { timeout: 60_000 }, () => {
  test('shows a page, beside the metrics', async () => {
    const { nextLine } = await serve('--metrics-port', '0', '--monitor-port', '0');
    await metricsUrl(nextLine);
    const line = await nextLine();
    expect(line).toMatch(/^monitor on http:\/\/127\.0\.0\.1:\d+\/$/);
    const page = await fetch(line.slice('monitor on '.length));
    expect(await page.text()).toContain('<title>Overlapped monitor</title>');
  });

  test('a port that is taken is one line, and nothing is left running', async () => {
    const taken = await inProcess();
    const { code, stderr, stdout } = await run('--port', '0', '--metrics-port', '0', '--monitor-port', String(taken));
    expect(stderr).toMatch(/^error: Cannot serve monitor: .*EADDRINUSE.* 127\.0\.0\.1:\d+\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });
});

describe('bad arguments are one line', { timeout: 60_000 }, () => {
  test.each([
    [['--port', 'abc'], /'--port <number>' argument 'abc' is invalid\. It must be a whole number from 0 to 65535/],
    [['--threads', '257'], /whole number from 0 to 256/],
    [['--metrics-port', '-1'], /whole number from 0 to 65535/],
    [['--monitor-port', '1e9'], /whole number from 0 to 65535/],
    [['--port', '65536'], /whole number from 0 to 65535/],
    [['--backend', 'kqueue'], /'kqueue' is invalid\. Allowed choices are iocp, io_uring, epoll, portable/],
    [['--backend', process.platform === 'win32' ? 'io_uring' : 'iocp'], /Cannot use the \w+ backend: .*\(ENOTSUP/],
    [['--host', '203.0.113.1'], /Cannot listen on 203\.0\.113\.1:7777: .*\(EADDRNOTAVAIL/],
    [['--prot', '1'], /unknown option '--prot' \(Did you mean --port\?\)/],
    [['sing'], /too many arguments/],
    [['bench', '--connections', '0'], /whole number from 1 to 50000/],
    [['bench', '--seconds', '-1'], /whole number from 1 to 3600/],
    [['bench', '--size', '1.5'], /whole number from 1 to 1048576/],
  ])('%j', async (args, message) => {
    const { code, stderr, stdout } = await run(...args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^error: .*\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });
});

describe('echo bench', { timeout: 60_000 }, () => {
  test('measures and verifies an echo server', async () => {
    const args = benchArgs(await inProcess());
    const { code, stderr, stdout } = await run(...args, '--size', '5000', '--outstanding', '3');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^4 connections, 5,000 bytes, 3 outstanding, \w+\n/);
    expect(stdout).toMatch(/[\d,]+ messages\/s, [\d.]+ MB\/s each way\n/);
    expect(stdout).toMatch(/p50 [\d,]+ us, p99 [\d,]+ us, p99\.9 [\d,]+ us; every byte verified\n$/);
    expect(code).toBe(0);
  });

  test('notices one byte that came back changed', async () => {
    const port = await fakeServer((socket) => {
      let received = 0;
      socket.on('data', (data) => {
        const at = 1000 - received;
        if (at >= 0 && at < data.length) data[at] = data[at]! ^ 1;
        received += data.length;
        socket.write(data);
      });
    });
    const { code, stderr, stdout } = await run(...benchArgs(port));
    expect(stderr).toMatch(/^error: connection \d is lost: byte 1000 came back changed\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });

  test.each([
    [
      'more than was sent',
      'more came back than was sent',
      (socket: Socket) => socket.on('data', () => socket.write('x'.repeat(65))),
    ],
    ['a server that ends', 'the server ended it', (socket: Socket) => socket.once('data', () => socket.end())],
    [
      'a reset',
      /.*\(ECONNRESET, \w+\)/.source,
      (socket: Socket) => socket.once('data', () => socket.resetAndDestroy()),
    ],
    ['silence', 'the last messages did not come back', (socket: Socket) => socket.resume()],
  ])('notices %s', async (_, message, onConnection) => {
    const { code, stderr, stdout } = await run(...benchArgs(await fakeServer(onConnection)));
    expect(stderr).toMatch(new RegExp(`^error: .*${message}\n$`));
    expect([code, stdout]).toEqual([1, '']);
  });

  test('a server that is not there is one line', async () => {
    const { code, stderr, stdout } = await run(...benchArgs(await freePort()));
    expect(stderr).toMatch(/^error: Cannot connect to 127\.0\.0\.1:\d+: .*\(ECONNREFUSED, \w+\)\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });
});

test('--help and --version', { timeout: 60_000 }, async () => {
  const [help, benchHelp, version] = await Promise.all([run('--help'), run('bench', '--help'), run('--version')]);
  expect(help.stdout).toMatch(/serve \[options\][\s\S]*bench \[options\]/);
  expect(benchHelp.stdout).toMatch(/--connections <number>[\s\S]*--outstanding <number>/);
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect([help.code, benchHelp.code, version.code]).toEqual([0, 0, 0]);
});
