// Each example runs as its comment says, as a process of its own with real sockets, on this system's backend and on portable.

import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect as connectTls } from 'node:tls';
import selfsigned from 'selfsigned';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { environmentOf, lineClient, pathOf, start } from './support.js';

const files = readdirSync(pathOf('.')).filter((name) => name.endsWith('.js'));
/** What other examples load. */
const PARTS = ['blocking-session.js', 'chat-session.js', 'primes.js', 'protocol.js'];

/** A certificate for "localhost", in the form of its arguments: files that are removed with the test. */
async function makeCertificate(): Promise<[cert: string, key: string]> {
  const { cert, private: key } = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }]);
  const folder = mkdtempSync(join(tmpdir(), 'overlapped-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const paths: [string, string] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  writeFileSync(paths[0], cert);
  writeFileSync(paths[1], key);
  return paths;
}

describe.each(['default', 'portable'])('on the %s backend', (backend) => {
  test('echo', async () => {
    const echo = await start(backend, 'echo.js');
    const { read, write } = lineClient(echo.port);
    write('hello\n');
    expect(await read()).toBe('hello');
    await echo.stop();
    expect(await read()).toBe('(end)');
  });

  test('lines', async () => {
    const lines = await start(backend, 'lines.js');
    const { read, write } = lineClient(lines.port);
    write('upper a b\r\nconstructor\nhelp\nquit\n');
    expect([await read(), await read(), await read(), await read()]).toEqual([
      'hello',
      'A B',
      'unknown command; try help',
      'commands: help, time, upper, quit',
    ]);
    expect([await read(), await read()]).toEqual(['bye', '(end)']);
    await lines.stop();
  });

  test('frames', () => {
    const { status, stdout, stderr } = run(backend, 'frames.js');
    expect(stdout, stderr).toBe('welcome, ann\nmoved to 1.5, -2\n');
    expect(status).toBe(0);
  });

  test('chat', async () => {
    const chat = await start(backend, 'chat.js');
    const [ann, ben] = [lineClient(chat.port), lineClient(chat.port)];
    expect([await ann.read(), await ben.read()]).toEqual(['your name?', 'your name?']);
    ann.write('ann\n');
    expect(await ann.read()).toBe('ann has come');
    ben.write('ben!\n');
    expect(await ben.read()).toBe('a name has 1 to 20 letters; your name?');
    ben.write('ben\nhi \x1b[31m\n');
    expect([await ann.read(), await ann.read()]).toEqual(['ben has come', 'ben: hi  [31m']);
    ben.socket.end();
    expect(await ann.read()).toBe('ben has left');
    await chat.stop();
  });

  test('gateway: bytes pass in both directions, and so does a half-close', async () => {
    const port = await listen((socket) => {
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('end', () => socket.end(`${text.length} bytes\n`));
    });
    const gateway = await start(backend, 'gateway.js', '127.0.0.1', String(port));
    const client = lineClient(gateway.port);
    client.socket.end('x'.repeat(1_000_000));
    expect([await client.read(), await client.read()]).toEqual(['1000000 bytes', '(end)']);
    await gateway.stop();
  });

  test.each(['client', 'server'])('gateway: the sender waits for a %s that does not read', async (reader) => {
    const PIECE = 80_000;
    const TOTAL = 800 * PIECE;
    const behind: Socket[] = [];
    // The first connection is the one under test. The others answer what they are asked.
    const port = await listen((socket) => {
      if (behind.push(socket) > 1) socket.pipe(socket);
      else socket.pause();
    });
    const gateway = await start(backend, 'gateway.js', '127.0.0.1', String(port));
    const client = connect(gateway.port, '127.0.0.1').pause();
    onTestFinished(() => void client.destroy());
    await expect.poll(() => behind.length, { timeout: 30_000 }).toBe(1);
    const pings = lineClient(gateway.port);
    pings.write('ping\n');
    await pings.read();
    const [from, to] = reader === 'client' ? [behind[0]!, client] : [client, behind[0]!];
    // Piece by piece, since node:net tells only when the whole of a write has been taken.
    const piece = Buffer.alloc(PIECE, 'overlapped');
    let taken = 0;
    const write = () => {
      taken += PIECE;
      if (taken < TOTAL) from.write(piece, write);
      else from.end();
    };
    from.write(piece, write);
    // Without back-pressure the gateway takes something in each of its turns, and each ping needs several turns.
    for (let idle = 0, before = -1; idle < 100 && taken < TOTAL; before = taken) {
      pings.write('ping\n');
      await pings.read();
      idle = taken === before ? idle + 1 : 0;
    }
    expect(taken).toBeLessThan(TOTAL);
    let received = 0;
    let equal = true;
    const sample = Buffer.alloc(1 << 20, 'overlapped');
    to.on('data', (data: Buffer) => {
      const at = received % 10;
      equal &&= data.equals(sample.subarray(at, at + data.length));
      received += data.length;
    });
    to.resume();
    await once(to, 'end');
    expect([received, equal]).toEqual([TOTAL, true]);
    client.destroy();
    behind[0]!.destroy();
    await gateway.stop();
  });

  test('gateway: nothing listens behind it', async () => {
    const gateway = await start(backend, 'gateway.js', '127.0.0.1', '1');
    const client = connect(gateway.port, '127.0.0.1');
    const [error] = await once(client, 'error');
    expect(error.code).toBe('ECONNRESET');
    await gateway.stop();
  });

  test('tls', async () => {
    const [cert, key] = await makeCertificate();
    const server = await start(backend, 'tls.js', cert, key);
    const client = connectTls({
      port: server.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: readFileSync(cert),
    });
    onTestFinished(() => void client.destroy());
    const lines = createInterface({ input: client })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('hello over TLSv1.3');
    client.write('some words\nmore\n');
    expect([(await lines.next()).value, (await lines.next()).value]).toEqual(['SOME WORDS', 'MORE']);
    client.end();
    await server.stop();
  });

  test('blocking', async () => {
    const server = await start(backend, 'blocking.js');
    const [slow, fast] = [lineClient(server.port), lineClient(server.port)];
    const order: string[] = [];
    slow.write('slow\n');
    const slowly = slow.read().then((line) => order.push(line));
    for (let i = 1; i <= 3; i++) {
      fast.write('quick\n');
      const line = await fast.read();
      expect(line).toMatch(new RegExp(`^request ${i}, by thread \\d+$`));
      order.push('fast');
    }
    await slowly;
    // The slow request was still blocked when the fast ones had been answered, where there are threads.
    if (server.line.startsWith('4 ')) expect(order.slice(0, 3)).toEqual(['fast', 'fast', 'fast']);
    else expect(server.line).toMatch(/^0 threads/);
    await server.stop();
  });

  test('udp-tick', async () => {
    const game = await start(backend, 'udp-tick.js');
    const [ann, ben] = [createSocket('udp4'), createSocket('udp4')];
    onTestFinished(() => {
      ann.close();
      ben.close();
    });
    ann.send('ann 1 2\n', game.port, '127.0.0.1');
    expect(String((await once(ann, 'message'))[0])).toMatch(/^tick \d+: ann 1 2\n$/);
    ben.send('ben 3 4\n', game.port, '127.0.0.1');
    expect(String((await once(ben, 'message'))[0])).toMatch(/^tick \d+: ann 1 2; ben 3 4\n$/);
    await game.stop();
  });

  test('jobs', async () => {
    const jobs = await start(backend, 'jobs.js');
    const { read, write } = lineClient(jobs.port);
    write('3000000\n100\nmany\n');
    expect([await read(), await read(), await read()]).toEqual([
      '216816 primes below 3000000',
      '25 primes below 100',
      'failed: a whole number up to 100000000',
    ]);
    await jobs.stop();
  });

  // Windows has no signals: kill() ends the process at once.
  test.skipIf(process.platform === 'win32')('graceful-stop', async () => {
    const server = await start(backend, 'graceful-stop.js');
    const { read, write } = lineClient(server.port);
    write('one\ntwo\n');
    expect([await server.nextLine(), await server.nextLine()]).toEqual(['request: one', 'request: two']);
    server.kill('SIGTERM');
    expect(await server.nextLine()).toBe('2 to finish');
    write('three\n');
    expect([await read(), await read(), await read()]).toEqual(['done: one', 'done: two', '(end)']);
    expect(await server.nextLine()).toBe('stopped');
    expect(await server.exited).toEqual([0, null]);
  });

  test('http', async () => {
    const http = await start(backend, 'http.js');
    const response = await fetch(`http://127.0.0.1:${http.port}/hello`);
    expect(await response.text()).toBe('GET /hello from 127.0.0.1\n');
    await http.stop();
  });

  test('websocket', async () => {
    const server = await start(backend, 'websocket.js');
    const page = await fetch(`http://127.0.0.1:${server.port}/`);
    expect(await page.text()).toContain('new WebSocket');
    const [ann, ben] = [1, 2].map(() => new WebSocket(`ws://127.0.0.1:${server.port}/`));
    await Promise.all([once(ann!, 'open'), once(ben!, 'open')]);
    const both = Promise.all([once(ann!, 'message'), once(ben!, 'message')]);
    ann!.send('hello');
    expect((await both).map(([data]) => String(data))).toEqual(['hello', 'hello']);
    const closed = Promise.all([once(ann!, 'close'), once(ben!, 'close')]);
    await server.stop();
    const code = process.platform === 'win32' ? 1006 : 1001;
    expect((await closed).map(([each]) => each)).toEqual([code, code]);
  });
});

test('protocol.test.js', () => {
  const args = ['--test', pathOf('protocol.test.js')];
  // Node's runner tells by this variable whether it is itself run by a runner.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  expect(status, stdout).toBe(0);
  expect(stdout).toMatch(/pass 4\b/);
});

test.each(files)('%s says how it is run, is short, and is in the list of README.md', (name) => {
  const text = readFileSync(pathOf(name), 'utf8');
  const comment = /^(\/\/ .*\n)+/.exec(text)![0].replaceAll('\n// ', ' ');
  if (!PARTS.includes(name)) expect(comment).toMatch(new RegExp(`\`node (--test )?examples/${name}`));
  expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(60);
  const readme = readFileSync(join(pathOf('..'), 'README.md'), 'utf8');
  expect(readme.includes(`(examples/${name})`), `README.md has no link to examples/${name}`).toBe(true);
});

function run(backend: string, name: string) {
  const env = { ...process.env, ...environmentOf(backend) };
  return spawnSync(process.execPath, [pathOf(name)], { env, encoding: 'utf8', timeout: 60_000 });
}

/** A node:net server on a free port, closed with the test. */
async function listen(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on('error', () => {}));
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
