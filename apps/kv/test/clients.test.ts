// Clients that others wrote: redis-cli and redis-benchmark, and node-redis.

import { createClient, RESP_TYPES } from 'redis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { execute, onEachBackend, serveHere, whyNoProgram } from './support.js';

onEachBackend((backend) => {
  const reason = whyNoProgram('redis-cli');
  // Where it is not installed, the reason is in the title.
  describe.skipIf(reason)(`redis-cli${reason ? ` (${reason})` : ''}`, () => {
    async function cli(...args: string[]): Promise<string> {
      const { port } = await serveHere(backend);
      const { code, stderr, stdout } = await execute('redis-cli', ['-p', String(port), ...args]);
      expect([code, stderr]).toEqual([0, '']);
      return stdout;
    }

    test('PING', async () => {
      expect(await cli('PING')).toBe('PONG\n');
    });

    test.each(['-2', '-3'])('%s: a script of commands', async (protocol) => {
      const { port } = await serveHere(backend);
      const script = 'SET key "a b"\nGET key\nINCR n\nMGET key n nothing\nEXPIRE key 100\nTTL n\nFOO\nDEL key n\n';
      const args = ['-p', String(port), protocol, '--no-raw'];
      const { stdout } = await execute('redis-cli', args, script);
      const expected = [
        'OK\n"a b"\n(integer) 1\n1) "a b"\n2) "1"\n3) (nil)\n(integer) 1\n(integer) -1\n',
        "(error) ERR unknown command 'FOO', with args beginning with: \n\n(integer) 2\n",
      ];
      expect(stdout.replace(/beginning with: \n+/, 'beginning with: \n\n')).toBe(expected.join(''));
    });

    test('COMMAND DOCS, which it asks for', async () => {
      expect(await cli('--json', 'COMMAND', 'DOCS', 'get')).toContain('Get the value of a key');
    });

    test('--pipe, which ends by an ECHO', async () => {
      const { port } = await serveHere(backend);
      const input = 'SET a 1\r\n'.repeat(5000);
      const { stdout } = await execute('redis-cli', ['-p', String(port), '--pipe'], input);
      expect(stdout).toContain('errors: 0, replies: 5000');
    });
  });

  const noBenchmark = whyNoProgram('redis-benchmark');
  // The same: the reason is in the title.
  describe.skipIf(noBenchmark)(`redis-benchmark${noBenchmark ? ` (${noBenchmark})` : ''}`, () => {
    test.each(['1', '16'])('with pipelines of %s', async (pipeline) => {
      const { port } = await serveHere(backend);
      const tests = 'ping_inline,ping_mbulk,set,get,incr,mset';
      const args = ['-p', port, '-n', 2000, '-c', 20, '-P', pipeline, '-t', tests, '-r', 100, '-d', 100, '--csv'];
      const { code, stderr, stdout } = await execute('redis-benchmark', args.map(String));
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout.match(/^"(PING_INLINE|PING_MBULK|SET|GET|INCR|MSET .*)","\d/gm)).toHaveLength(6);
    });
  });

  describe.each([2, 3] as const)('node-redis, RESP%i', (RESP) => {
    async function connect() {
      const { port } = await serveHere(backend);
      const client = createClient({ RESP, name: 'tester', socket: { host: '127.0.0.1', port } });
      client.on('error', (error) => expect.fail(String(error)));
      await client.connect();
      onTestFinished(() => {
        if (client.isOpen) client.destroy();
      });
      return client;
    }

    test('reads and writes', async () => {
      const client = await connect();
      expect(await client.set('key', 'value')).toBe('OK');
      expect(await client.get('key')).toBe('value');
      expect(await client.get('nothing')).toBe(null);
      expect(await client.set('key', 'other', { condition: 'NX' })).toBe(null);
      expect(await client.mSet({ a: '1', b: '2' })).toBe('OK');
      expect(await client.mGet(['a', 'nothing', 'b'])).toEqual(['1', null, '2']);
      expect(await client.incr('a')).toBe(2);
      expect(await client.expire('a', 100)).toBe(1);
      expect(await client.ttl('a')).toBeGreaterThan(0);
      expect(await client.exists(['a', 'b', 'nothing'])).toBe(2);
      expect(await client.del(['a', 'b'])).toBe(2);
      expect(await client.dbSize()).toBe(1);
      expect(await client.clientGetName()).toBe('tester');
      expect({ ...(await client.configGet('save')) }).toEqual({ save: '' });
      expect(await client.info('server')).toMatch('redis_version:');
      expect(await client.flushAll()).toBe('OK');
      await expect(client.sendCommand(['GET'])).rejects.toThrow("wrong number of arguments for 'get' command");
      await client.close();
    });

    test('bytes, large ones too, and many at once', async () => {
      const client = await connect();
      const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      const sizes = [0, 1, 100, 2047, 2048, 16383, 16384, 16385, 70_000, 2_000_000];
      const values = sizes.map((size) =>
        Buffer.alloc(
          size,
          Uint8Array.from({ length: 251 }, (_, i) => i),
        ),
      );
      const set = await Promise.all(values.map((value, i) => binary.set(`key ${i}`, value)));
      expect(set.every((reply) => String(reply) === 'OK')).toBe(true);
      const read = await Promise.all(values.map((_, i) => binary.get(`key ${i}`)));
      expect(read.map((value, i) => value?.equals(values[i]!))).toEqual(values.map(() => true));
      const counts = await Promise.all(Array.from({ length: 5000 }, () => client.incr('n')));
      expect(counts).toEqual(counts.map((_, i) => i + 1));
      await client.close();
    });
  });
});
