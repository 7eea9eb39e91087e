// The command as its users run it: the built one, in a process of its own.

import { describe, expect, test } from 'vitest';
import { RawClient, run, serve, serveHere } from './support.js';

describe('kv', { timeout: 60_000 }, () => {
  test('serves, and says what it runs on', async () => {
    const { line, port } = await serve('--backend', 'portable');
    expect(line).toBe(`kv on 127.0.0.1:${port}, portable (SIGINT stops)`);
    const client = await RawClient.connect(port);
    client.request('PING');
    expect(await client.read(7)).toBe('+PONG\r\n');
  });

  // Windows has no signals to send.
  test.skipIf(process.platform === 'win32').each(['SIGINT', 'SIGTERM'] as const)(
    '%s ends it in order',
    async (signal) => {
      const { child, exited, port } = await serve();
      const client = await RawClient.connect(port);
      client.request('SET', 'key', 'x', 'EX', '100');
      expect(await client.read(5)).toBe('+OK\r\n');
      child.kill(signal);
      expect(await client.readAll()).toBe('');
      expect(await exited).toBe(0);
    },
  );

  test('a port that is taken is one line', async () => {
    const { port } = await serveHere();
    const { code, stderr, stdout } = await run('--port', String(port));
    expect(stderr).toMatch(/^error: Cannot listen on 127\.0\.0\.1:\d+: .*\(EADDRINUSE, \w+\)\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });

  test.each([
    [['--port', 'abc'], /'--port <number>' argument 'abc' is invalid\. It must be a whole number from 0 to 65535/],
    [['--backend', 'kqueue'], /'kqueue' is invalid\. Allowed choices are iocp, io_uring, epoll, portable/],
    [['--backend', process.platform === 'win32' ? 'io_uring' : 'iocp'], /Cannot use the \w+ backend: .*\(ENOTSUP/],
    [['sing'], /too many arguments/],
  ])('%j is one line', async (args, message) => {
    const { code, stderr, stdout } = await run(...args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^error: .*\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });
});
