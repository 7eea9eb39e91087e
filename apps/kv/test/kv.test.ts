// The server's answers to requests, on a raw connection. The texts of its replies are compared with the real server's in
// differential.test.ts.

import { describe, expect, test } from 'vitest';
import { encode, onEachBackend, RawClient, serveHere } from './support.js';

onEachBackend((backend) => {
  async function start() {
    const { port, core } = await serveHere(backend);
    return { core, client: await RawClient.connect(port), connect: () => RawClient.connect(port) };
  }

  test('keys and values are bytes', async () => {
    const { client } = await start();
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    client.request('SET', all, all);
    client.request('GET', all);
    client.request('GET', all.subarray(1));
    expect(await client.read(5 + 264 + 5)).toBe(`+OK\r\n$256\r\n${all.toString('latin1')}\r\n$-1\r\n`);
  });

  test('a batch is served in order, and in pieces', async () => {
    const { client } = await start();
    const requests = Array.from({ length: 5000 }, (_, i) => [encode(['SET', 'key', `${i}`]), encode(['GET', 'key'])]);
    const bytes = Buffer.concat(requests.flat());
    const replies = requests.map((_, i) => `+OK\r\n$${String(i).length}\r\n${i}\r\n`).join('');
    client.socket.write(bytes);
    expect(await client.read(replies.length)).toBe(replies);
    for (let at = 0; at < 200; at++) {
      client.socket.write(encode(['ECHO', 'split']).subarray(0, (at % 24) + 1));
      await new Promise((resolve) => setImmediate(resolve));
      client.socket.write(encode(['ECHO', 'split']).subarray((at % 24) + 1));
      expect(await client.read(11)).toBe('$5\r\nsplit\r\n');
    }
  });

  test('large values come back as they were, also when they are replaced while they are sent', async () => {
    const { client, connect } = await start();
    const [old, fresh] = ['a', 'b'].map((letter) => letter.repeat(3_000_000));
    client.request('SET', 'key', old!);
    expect(await client.read(5)).toBe('+OK\r\n');
    client.socket.pause();
    for (let i = 0; i < 5; i++) client.request('GET', 'key');
    const other = await connect();
    // The five are served as soon as this one is.
    other.request('ECHO', 'x');
    await other.read(7);
    other.request('SET', 'key', fresh!);
    expect(await other.read(5)).toBe('+OK\r\n');
    client.socket.resume();
    for (let i = 0; i < 5; i++) {
      expect(await client.read(10)).toBe('$3000000\r\n');
      const value = await client.read(3_000_002);
      expect([old, fresh]).toContain(value.slice(0, -2));
    }
  });

  test('who does not read is not served, until it does', async () => {
    const { client, core } = await start();
    const value = 'x'.repeat(100_000);
    const count = 1000;
    client.request('SET', 'key', value);
    await client.read(5);
    client.socket.pause();
    client.socket.write(Buffer.concat(Array.from({ length: count }, () => encode(['GET', 'key']))));
    client.socket.write(encode(['ECHO', 'end']));
    // A value more than the watermark, and a chunk of small replies.
    for (let i = 0; i < 100; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      expect(core.stats().total.bytesQueued).toBeLessThan(600_000);
    }
    client.socket.resume();
    const reply = `$100000\r\n${value}\r\n`;
    for (let i = 0; i < count; i++) expect((await client.read(reply.length)) === reply).toBe(true);
    expect(await client.read(9)).toBe('$3\r\nend\r\n');
  });

  test('a client that does not read is not served within one request, and gets the values of its time', async () => {
    const { client, connect, core } = await start();
    const [large, small] = ['l'.repeat(16_000), 's'.repeat(1000)];
    client.request('MSET', 'large', large, 'small', small);
    await client.read(5);
    client.socket.pause();
    const keys = Array.from({ length: 6000 }, (_, i) => ['large', 'small', 'none'][i % 3]!);
    client.socket.write(Buffer.concat([encode(['MGET', ...keys]), encode(['ECHO', 'end'])]));
    // Above the low watermark no more of the reply follows. The number of queued bytes then depends on the kernel's buffers.
    while (core.stats().total.bytesQueued <= 65_536) await new Promise((resolve) => setImmediate(resolve));
    const other = await connect();
    for (let i = 0; i < 100; i++) {
      // The same sizes, which take the places of the old values once no reply holds those.
      other.request('MSET', 'large', 'L'.repeat(16_000), 'small', 'S'.repeat(1000), 'none', 'x');
      expect(await other.read(5)).toBe('+OK\r\n');
      expect(core.stats().total.bytesQueued).toBeLessThan(600_000);
    }
    client.socket.resume();
    expect(await client.read(7)).toBe('*6000\r\n');
    const reply = `$16000\r\n${large}\r\n$1000\r\n${small}\r\n$-1\r\n`;
    for (let i = 0; i < 2000; i++) expect((await client.read(reply.length)) === reply).toBe(true);
    expect(await client.read(9)).toBe('$3\r\nend\r\n');
    // And a client that leaves in the middle of it takes nothing with it.
    client.request('MGET', ...keys, ...keys);
    client.socket.destroy();
    other.request('SET', 'small', 'S');
    expect(await other.read(5)).toBe('+OK\r\n');
  });

  test.each([
    'POST / HTTP/1.1\r\nHost: localhost\r\n\r\nFLUSHALL\r\n',
    'Host: localhost\r\nFLUSHALL\r\n',
    'hOST:\r\nFLUSHALL\r\n',
    '*1\r\n$4\r\npost\r\nFLUSHALL\r\n',
  ])('a browser is cut off, and what it brings is not run: %j', async (bytes) => {
    const { client, connect } = await start();
    client.request('SET', 'key', 'kept');
    expect(await client.read(5)).toBe('+OK\r\n');
    client.socket.write(bytes);
    expect(await client.readAll()).toBe('');
    const other = await connect();
    other.request('GET', 'key');
    expect(await other.read(10)).toBe('$4\r\nkept\r\n');
  });

  test('a time far below zero is invalid, as its milliseconds do not fit in 64 bits', async () => {
    const { client } = await start();
    client.request('SET', 'key', 'x');
    for (const time of ['-9223372036854776', '-9223372036854775808']) {
      client.request('EXPIRE', 'key', time);
      expect((await client.readTo('command\r\n')).toString()).toMatch(
        /-ERR invalid expire time in 'expire' command\r\n$/,
      );
    }
    client.request('EXPIRE', 'key', '-9223372036854775');
    expect(await client.read(4)).toBe(':1\r\n');
  });

  test('keys go when they are due, asked for or not', async () => {
    const { client } = await start();
    client.request('SET', 'asked', 'x', 'PX', '30');
    client.request('SET', 'forgotten', 'x', 'PX', '30');
    client.request('SET', 'stays', 'x', 'EX', '100');
    expect(await client.read(15)).toBe('+OK\r\n+OK\r\n+OK\r\n');
    for (let got = '$1\r\nx\r\n'; got !== '$-1\r\n'; ) {
      client.request('GET', 'asked');
      got = (await client.readTo('\r\n')).toString();
      if (got === '$1\r\n') await client.read(3);
    }
    for (let got = ''; got !== ':1\r\n'; ) {
      client.request('DBSIZE');
      got = await client.read(4);
    }
    client.request('TTL', 'stays');
    expect((await client.readTo('\r\n')).toString()).toMatch(/^:(100|9\d)\r\n$/);
  });

  test('QUIT is answered, what follows is not, and the connection closes', async () => {
    const { client } = await start();
    client.socket.write(Buffer.concat([encode(['PING']), encode(['QUIT']), encode(['PING'])]));
    expect(await client.readAll()).toBe('+PONG\r\n+OK\r\n');
  });

  test('broken input is answered with an error, and the connection closes', async () => {
    const { client, connect } = await start();
    client.socket.write('*1\r\n$4\r\nPING\r\n*1\r\n!4\r\nPING\r\n');
    expect(await client.readAll()).toBe("+PONG\r\n-ERR Protocol error: expected '$', got '!'\r\n");
    const other = await connect();
    other.request('PING');
    expect(await other.read(7)).toBe('+PONG\r\n');
  });

  test('who does not hang up after its last reply is cut off', async () => {
    const { client, core } = await start();
    client.socket.allowHalfOpen = true;
    client.request('QUIT');
    expect(await client.readTo('+OK\r\n')).toBeTruthy();
    while (core.sessions > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  describe('HELLO', () => {
    test('chooses the version of the protocol', async () => {
      const { client } = await start();
      client.request('HELLO', '3', 'SETNAME', 'me');
      const greeting = (await client.readTo('*0\r\n')).toString();
      expect(greeting).toMatch(/^%7\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n.*\$5\r\nproto\r\n:3\r\n/s);
      client.request('GET', 'nothing');
      client.request('CLIENT', 'GETNAME');
      expect(await client.read(11)).toBe('_\r\n$2\r\nme\r\n');
      client.request('HELLO', '2');
      expect((await client.readTo('*0\r\n')).toString()).toMatch(/^\*14\r\n/);
      client.request('GET', 'nothing');
      expect(await client.read(5)).toBe('$-1\r\n');
    });
  });

  test('INFO and COMMAND', async () => {
    const { client } = await start();
    client.request('SET', 'key', 'x', 'EX', '100');
    client.request('INFO', 'clients', 'keyspace');
    expect((await client.readTo('avg_ttl=0\r\n\r\n')).toString()).toBe(
      '+OK\r\n$78\r\n# Clients\r\nconnected_clients:1\r\n\r\n# Keyspace\r\ndb0:keys=1,expires=1,avg_ttl=0\r\n\r\n',
    );
    client.request('COMMAND', 'COUNT');
    const count = Number((await client.readTo('\r\n')).toString().slice(1));
    client.request('COMMAND');
    client.request('ECHO', 'end');
    const listed = (await client.readTo('end\r\n')).toString();
    expect(listed.startsWith(`*${count}\r\n`)).toBe(true);
    expect(listed.match(/\*10\r\n/g)).toHaveLength(count);
  });
});
