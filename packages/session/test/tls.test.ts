// Node's tls over sessions, at both ends. Nothing of ours is needed for it: a server is given the stream of each session,
// a client is told to use one as its socket.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { Connector, type SessionDuplex } from '../src/index.js';
import { makeCertificates } from './certificates.js';
import { withClock } from './clock.js';
import { MUCH } from './net-socket-rows.js';
import { listenForStreams, openCore, turns } from './streams.js';
import { deferred, listen, onEachBackend, pattern, read } from './support.js';

const { ca, a, b, client } = await makeCertificates();
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

onEachBackend((backend) => {
  /** A server that asks for a certificate, has two names, speaks two protocols, and sends everything back. */
  async function serve(options: tls.TlsOptions = {}) {
    const server = tls.createServer({
      ...a,
      ca,
      ALPNProtocols: ['echo/2', 'echo/1'],
      requestCert: true,
      rejectUnauthorized: false,
      ...options,
    });
    server.addContext('b.test', b);
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    const streams: SessionDuplex[] = [];
    const port = await listenForStreams(openCore(backend), (stream) => {
      streams.push(stream);
      server.emit('connection', stream);
    });
    return { server, port, streams };
  }

  async function dial(port: number): Promise<SessionDuplex> {
    const connector = new Connector(openCore(backend), { session: {} });
    return (await connector.connect({ host: '127.0.0.1', port })).toDuplex();
  }

  test.each(['a.test', 'b.test'])('a server has the certificate that the client asks for: %s', async (servername) => {
    const { port } = await serve();
    const socket = tls.connect({ port, host: '127.0.0.1', servername, ca });
    await once(socket, 'secureConnect');
    expect(socket.authorized).toBe(true);
    expect(socket.getPeerCertificate().subject.CN).toBe(servername);
    socket.end('hello');
    expect(await text(socket)).toBe('hello');
  });

  test('a listener that stops leaves a TLSSocket to its owner, and cuts its write after the grace', async () => {
    await withClock(backend, async (core, hand) => {
      const server = tls.createServer(a);
      const opened = deferred<SessionDuplex>();
      const listener = await listen(core, {
        session: {
          onConnected: (session) => {
            const stream = session.toDuplex();
            opened.resolve(stream);
            server.emit('connection', stream);
          },
        },
      });
      const { socket, client } = await secured(server, listener.endpoint.port);
      const failed = once(socket, 'error');
      const stopped = listener.stop(1000);
      await turns(); // The sockets that accept are closed first.
      hand.pass(999);
      socket.write('hello');
      expect((await read(client, 5)).toString()).toBe('hello');
      client.pause();
      socket.write(pattern(MUCH));
      const outcome = failed.then(async ([error]) => ({
        code: error.code,
        destroyed: (await opened.promise).destroyed,
      }));
      await once(client, 'readable'); // The write is on its way.
      hand.pass(100);
      expect(await outcome).toEqual({ code: 'ECANCELED', destroyed: true });
      await stopped;
      client.destroy();
    });
  });

  test('a TLSSocket whose transport is destroyed fails as over a net.Socket', async () => {
    for (const transport of ['net.Socket', 'session']) {
      const server = tls.createServer(a);
      const opened = deferred<Duplex>();
      const serve = (stream: Duplex) => {
        opened.resolve(stream);
        server.emit('connection', stream);
      };
      const listens = transport === 'session' ? listenForStreams(openCore(backend), serve) : listenByNet(serve);
      const { socket, client } = await secured(server, await listens);
      const log: string[] = [];
      const note = (what: string) => (error?: unknown) => log.push(`${what}: ${(error as Error | null)?.message}`);
      socket.on('error', note('error')).write(pattern(MUCH), note('first'));
      socket.write('more', note('second'));
      await once(client, 'readable');
      (await opened.promise).destroy();
      await new Promise((resolve) => socket.once('close', resolve));
      await turns(1);
      const expected = ['first', 'second', 'error'].map((what) => `${what}: write ECANCELED`);
      expect({ transport, log }).toEqual({ transport, log: expected });
      client.destroy();
    }
  });

  test('a protocol is agreed upon, and the client shows who it is', async () => {
    const { port, server } = await serve();
    const accepted = once(server, 'secureConnection');
    const options = { servername: 'a.test', ca, ...client, ALPNProtocols: ['echo/1', 'echo/2'] };
    const socket = tls.connect({ port, host: '127.0.0.1', ...options });
    await once(socket, 'secureConnect');
    const [accepting] = await accepted;
    expect([socket.alpnProtocol, accepting.alpnProtocol]).toEqual(['echo/2', 'echo/2']);
    expect([accepting.authorized, accepting.getPeerCertificate().subject.CN]).toEqual([true, 'a client']);
    socket.end();
    await text(socket);
  });

  test('megabytes go both ways, and both ends close in order', async () => {
    const { port, streams } = await serve();
    const data = pattern(5_000_000);
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'a.test', ca });
    await once(socket, 'secureConnect');
    const closed = once(streams[0]!, 'close');
    socket.end(data);
    expect((await read(socket, data.length)).equals(data)).toBe(true);
    expect(await closed).toEqual([false]);
  });

  test('a client over a session', async () => {
    const { port } = await serve();
    const stream = await dial(port);
    const options = { servername: 'b.test', ca, ...client, ALPNProtocols: ['echo/1'] };
    const socket = tls.connect({ socket: stream, ...options });
    await once(socket, 'secureConnect');
    expect([socket.authorized, socket.alpnProtocol]).toEqual([true, 'echo/1']);
    const closed = once(stream, 'close');
    const data = pattern(1_000_000);
    socket.end(data);
    expect((await read(socket, data.length)).equals(data)).toBe(true);
    expect(await closed).toEqual([false]);
  });

  test('new TLSSocket() takes a stream, too', async () => {
    const port = await listenForStreams(openCore(backend), (stream) => {
      const socket = new tls.TLSSocket(stream as unknown as net.Socket, { isServer: true, ...a });
      socket.pipe(socket);
    });
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'a.test', ca });
    socket.end('hello');
    expect(await text(socket)).toBe('hello');
  });

  test('https', async () => {
    const server = https.createServer(a, (request, response) => request.pipe(response));
    const port = await listenForStreams(openCore(backend), (stream) => server.emit('connection', stream));
    const request = https.request({ port, host: '127.0.0.1', servername: 'a.test', ca, method: 'POST' });
    request.end(pattern(1_000_000));
    const [response] = await once(request, 'response');
    expect((await read(response, 1_000_000)).equals(pattern(1_000_000))).toBe(true);
    request.destroy();
  });

  test('a client that is not trusted is refused, and the session closes', async () => {
    const other = await makeCertificates();
    const { port, server, streams } = await serve({ rejectUnauthorized: true });
    const refused = once(server, 'tlsClientError');
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'a.test', ca, ...other.client });
    socket.on('error', () => {});
    expect((await refused)[0]).toBeInstanceOf(Error);
    await Promise.all([once(socket, 'close'), closed(streams[0]!)]);
  });

  test('what is no TLS is refused, and the session closes', async () => {
    const { port, server, streams } = await serve();
    const refused = once(server, 'tlsClientError');
    const socket = net.connect(port, '127.0.0.1').on('error', () => {});
    socket.resume().write('GET / HTTP/1.1\r\n\r\n');
    expect((await refused)[0].code).toMatch(/^ERR_SSL/);
    await Promise.all([once(socket, 'close'), closed(streams[0]!)]);
  });

  test('a peer that resets is an error of the TLS socket', async () => {
    const failed = deferred<Error>();
    const { port, server } = await serve();
    server.on('secureConnection', (socket) => socket.on('error', failed.resolve));
    const raw = net.connect(port, '127.0.0.1');
    const socket = tls.connect({ socket: raw, servername: 'a.test', ca }).on('error', () => {});
    socket.write('hello');
    await read(socket, 5);
    raw.resetAndDestroy();
    expect(await failed.promise).toMatchObject({ code: 'ECONNRESET' });
  });

  // Where the command is not installed there is nothing to compare with.
  test.runIf(hasOpenssl)('openssl s_client', async () => {
    const { port } = await serve();
    const folder = mkdtempSync(join(tmpdir(), 'overlapped-tls-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    for (const [name, pem] of Object.entries({ ca, ...client })) writeFileSync(join(folder, name), pem);
    const names = [
      '-CAfile',
      'ca',
      '-cert',
      'cert',
      '-key',
      'key',
      '-servername',
      'b.test',
      '-verify_hostname',
      'b.test',
    ];
    const args = ['s_client', '-connect', `127.0.0.1:${port}`, ...names, '-verify_return_error', '-alpn', 'echo/1'];
    const child = spawn('openssl', [...args, '-ign_eof'], { cwd: folder, timeout: 20_000 });
    const output = text(child.stdout);
    child.stdin.end('from openssl\n');
    const heard = new Promise<void>((resolve) => {
      child.stdout.on('data', (part) => String(part).includes('from openssl') && resolve());
    });
    await heard;
    child.kill();
    const said = await output;
    expect(said).toContain('Verification: OK');
    expect(said).toContain('ALPN protocol: echo/1');
    expect(said).toContain('CN = b.test');
  });
});

/** A TLS client of a server that listens at a port, which does not read, and the server's end. */
async function secured(server: tls.Server, port: number) {
  const served = once(server, 'secureConnection');
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  client.on('error', () => {});
  const [socket]: tls.TLSSocket[] = await served;
  return { socket: socket!, client };
}

async function listenByNet(serve: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer(serve).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

async function closed(stream: SessionDuplex): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
}
