// TLS as a transport of sessions, with node:tls as the peer.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import tls from 'node:tls';
import * as built from '@overlapped/session';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  broadcast,
  ClientService,
  Connector,
  encodeFrame,
  framed,
  type IocpCore,
  Listener,
  lengthPrefixed,
  type PacketSession,
  Session,
  type TlsClientOptions,
  type TlsServerOptions,
} from '../src/index.js';
import { live } from '../src/tls/context.js';
import { makeCertificates } from './certificates.js';
import { deferred, onEveryBackend, pattern, read, withCore } from './support.js';

const { ca, a, b, client } = await makeCertificates();

function serverOf(options: Partial<TlsServerOptions> = {}) {
  return { host: '127.0.0.1', port: 0, tls: { ...a, ...options } };
}

async function dial(listener: Listener, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host: '127.0.0.1', port: listener.endpoint.port, ca, servername: 'a.test', ...options });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  return socket;
}

class Echo extends Session {
  override onReceive(data: Buffer) {
    this.send(data);
  }
}

afterAll(() => expect(live.engines).toBe(0));

/** A server whose sessions echo. */
function serveEcho(core: IocpCore, options: Partial<TlsServerOptions> = {}): Promise<Listener> {
  return Listener.listen(core, { ...serverOf(options), session: Echo });
}

/** A node:tls server that echoes. */
async function nodeServer(options: tls.TlsOptions = {}): Promise<number> {
  const server = tls.createServer({ ...a, ...options }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

/** Collects what a session receives. */
class Collector extends Session {
  readonly pieces: Buffer[] = [];
  readonly over = deferred<Error | undefined>();
  ended = false;
  #wanted: { length: number; resolve: (bytes: Buffer) => void } | null = null;
  override onReceive(data: Buffer) {
    this.pieces.push(Buffer.from(data));
    this.#check();
  }
  override onEnd() {
    this.ended = true;
  }
  override onDisconnected(error?: Error) {
    this.over.resolve(error);
  }
  read(length: number): Promise<Buffer> {
    const { promise, resolve } = deferred<Buffer>();
    this.#wanted = { length, resolve };
    this.#check();
    return promise;
  }
  #check() {
    const all = Buffer.concat(this.pieces);
    if (this.#wanted !== null && all.length >= this.#wanted.length) this.#wanted.resolve(all);
  }
}

onEveryBackend((backend) => {
  test('bytes go both ways, and both ends close in order', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const listener = await serveEcho(core);
      const socket = await dial(listener);
      expect(socket.authorized).toBe(true);
      socket.write('hello');
      expect((await read(socket, 5)).toString()).toBe('hello');
      const data = pattern(3_000_000);
      socket.write(data);
      expect((await read(socket, data.length)).equals(data)).toBe(true);
      socket.end('bye');
      expect(await text(socket)).toBe('bye');
    }));

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('what a session says of its connection: %s', (version) =>
    withCore({ backend, threads: 0 }, async (core) => {
      const opened = deferred<Session>();
      const tls = { ...a, ca, requestCert: true, ALPNProtocols: ['echo/2', 'echo/1'], maxVersion: version };
      const session = { onConnected: opened.resolve };
      const listener = await Listener.listen(core, { host: '127.0.0.1', port: 0, tls, session });
      const socket = await dial(listener, { ...client, ALPNProtocols: ['echo/1', 'echo/2'] });
      const info = (await opened.promise).tls!;
      expect(info).toMatchObject({
        protocol: version,
        cipher: socket.getCipher(),
        alpnProtocol: 'echo/2',
        servername: 'a.test',
        authorized: true,
        authorizationError: null,
        reused: false,
      });
      expect(info.peerCertificate!.subject).toBe('CN=a client');
      expect(socket.alpnProtocol).toBe('echo/2');
      socket.destroy();
    }),
  );

  test.each(['b.test', 'B.Test', 'x.wild.test', 'a.test'])(
    'a server has the certificate for the name %s',
    (servername) =>
      withCore({ backend, threads: 0 }, async (core) => {
        const listener = await serveEcho(core, { contexts: { 'b.test': b, '*.wild.test': b } });
        const socket = await dial(listener, { servername, checkServerIdentity: () => undefined });
        expect(socket.getPeerCertificate().subject.CN).toBe(servername === 'a.test' ? 'a.test' : 'b.test');
        socket.end();
        await text(socket);
      }),
  );

  test('a client session: a node:tls server, whose certificate and name are checked', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const port = await nodeServer({ ALPNProtocols: ['echo/1'] });
      const connector = new Connector(core, {
        session: Collector,
        tls: { ca, servername: 'a.test', ALPNProtocols: ['echo/1'] },
      });
      const session = await connector.connect({ host: '127.0.0.1', port });
      expect(session.tls).toMatchObject({ alpnProtocol: 'echo/1', authorized: true, servername: 'a.test' });
      const data = pattern(1_000_000);
      session.send(data);
      expect((await session.read(data.length)).equals(data)).toBe(true);
      session.end();
      expect(await session.over.promise).toBe(undefined);
      expect(session.ended).toBe(true);
      expect(session.tls!.peerCertificate!.subject).toBe('CN=a.test');
    }));

  test('a handshake that fails has the code of node:tls, and the core goes on', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const port = await nodeServer();
      const rows: [TlsClientOptions, string][] = [
        [{ servername: 'a.test' }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
        [{ ca, servername: 'other.test' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
        [
          { ca, servername: 'a.test', ciphers: 'PSK-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' },
          'ERR_SSL_NO_CIPHERS_AVAILABLE',
        ],
      ];
      for (const [options, code] of rows) {
        const theirs = await nodeCode(port, options);
        const connector = new Connector(core, { session: {}, tls: options });
        const ours = await connector.connect({ host: '127.0.0.1', port }).then(
          () => 'none',
          (error) => error.code,
        );
        expect({ code: ours }).toEqual({ code: theirs });
        expect(ours).toBe(code);
      }
      const lax = new Connector(core, { session: Collector, tls: { servername: 'x.test', rejectUnauthorized: false } });
      const session = await lax.connect({ host: '127.0.0.1', port });
      expect(session.tls).toMatchObject({
        authorized: false,
        authorizationError: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      });
      session.destroy();
      await session.over.promise;
    }));

  test('a client that shows no certificate, or that of another authority, is refused, and counted', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const errors: string[] = [];
      const note = (message: unknown) => errors.push((message as { error: { code: string } }).error.code);
      subscribe('overlapped:tls-failed', note);
      onTestFinished(() => void unsubscribe('overlapped:tls-failed', note));
      const listener = await serveEcho(core, { ca, requestCert: true });
      const other = await makeCertificates();
      for (const identity of [{}, other.client]) {
        const socket = tls.connect({
          host: '127.0.0.1',
          port: listener.endpoint.port,
          ca,
          servername: 'a.test',
          ...identity,
        });
        const [error] = await once(socket, 'error');
        expect(error.code).toMatch(/^ERR_SSL_TLSV1|^ECONNRESET/);
      }
      await vi.waitFor(() => expect(core.stats().total).toMatchObject({ refusedTls: 2 }));
      expect(errors).toEqual(['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'CERT_SIGNATURE_FAILURE']);
      expect(core.stats().total).toMatchObject({ refusedTls: 2, accepted: 2, ended: 2 });
      const socket = await dial(listener, client);
      socket.end('hello');
      expect(await text(socket)).toBe('hello');
    }));

  test('a stream that is cut without a close_notify is an error, and not an end', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const opened = deferred<Collector>();
      class Server extends Collector {
        override onConnected() {
          opened.resolve(this);
        }
      }
      const listener = await Listener.listen(core, { ...serverOf(), session: Server });
      const raw = net.connect(listener.endpoint.port, '127.0.0.1');
      const socket = tls.connect({ socket: raw, ca, servername: 'a.test' });
      socket.on('error', () => {});
      socket.write('hello');
      const session = await opened.promise;
      await session.read(5);
      raw.end();
      expect(await session.over.promise).toMatchObject({ code: 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING' });
      expect(session.ended).toBe(false);
    }));

  test('a half-open session sends after the peer has ended', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const session = {
        onEnd(session: Session) {
          session.send(pattern(300_000));
          session.end('done');
        },
      };
      const listener = await Listener.listen(core, { ...serverOf(), allowHalfOpen: true, session });
      const socket = await dial(listener);
      socket.end('hello');
      const all = await buffer(socket);
      expect(all.subarray(-4).toString()).toBe('done');
      expect(all.length).toBe(300_004);
    }));

  test('broadcast, frames, a paused session, and a large queue', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const sessions: PacketSession[] = [];
      const session = framed(lengthPrefixed(), {
        onConnected: (session) => void sessions.push(session),
        onPacket: (session, data) => {
          session.send(encodeFrame(lengthPrefixed(), data));
        },
      });
      const listener = await Listener.listen(core, { ...serverOf(), session });
      const [one, two] = [await dial(listener), await dial(listener)];
      await vi.waitFor(() => expect(sessions.length).toBe(2));
      const message = pattern(100_000);
      expect(broadcast(core, message)).toBe(true);
      for (const socket of [one, two]) expect((await read(socket, message.length)).equals(message)).toBe(true);
      sessions[0]!.pause();
      const frame = Buffer.concat([Buffer.from([0, 0, 0, 5]), Buffer.from('hello')]);
      one.write(Buffer.concat([frame, frame]));
      two.write(frame);
      expect((await read(two, 9)).equals(frame)).toBe(true);
      sessions[0]!.resume();
      expect((await read(one, 18)).equals(Buffer.concat([frame, frame]))).toBe(true);
      one.end();
      two.end();
    }));

  test('sendFile is encrypted, in order with other sends', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const folder = mkdtempSync(join(tmpdir(), 'overlapped-tls-file-'));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const file = join(folder, 'file');
      const data = pattern(500_000);
      writeFileSync(file, data);
      const sent = deferred<unknown>();
      const session = {
        onConnected(session: Session) {
          session.send('before');
          sent.resolve(Promise.all([session.sendFile(file), session.sendFile(file, { start: 10, end: 12 })]));
          session.end('after');
        },
      };
      const listener = await Listener.listen(core, { ...serverOf(), session });
      const socket = await dial(listener);
      const all = await buffer(socket);
      const expected = Buffer.concat([Buffer.from('before'), data, data.subarray(10, 13), Buffer.from('after')]);
      expect(all.equals(expected)).toBe(true);
      expect(await sent.promise).toEqual([500_000, 3]);
      socket.destroy();
    }));

  test('toDuplex() is plain: http over a TLS session', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const server = http.createServer((request, response) => request.pipe(response));
      const session = { onConnected: (session: Session) => void server.emit('connection', session.toDuplex()) };
      const listener = await Listener.listen(core, { ...serverOf(), session });
      const { port } = listener.endpoint;
      const request = https.request({
        port,
        host: '127.0.0.1',
        servername: 'a.test',
        ca,
        method: 'POST',
        agent: false,
      });
      request.end(pattern(1_000_000));
      const [response] = await once(request, 'response');
      expect((await read(response, 1_000_000)).equals(pattern(1_000_000))).toBe(true);
      request.destroy();
    }));

  test('a client resumes its session', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const listener = await serveEcho(core);
      const connector = new Connector(core, { session: Collector, tls: { ca, servername: 'a.test' } });
      for (const reused of [false, true, true]) {
        const session = await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port });
        session.send('hello');
        await session.read(5);
        expect(session.tls).toMatchObject({ reused, authorized: true });
        session.end();
        await session.over.promise;
      }
      await connector.stop();
    }));

  test('certificates are replaced while the listener runs', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const listener = await serveEcho(core);
      const first = await dial(listener);
      await listener.setTls(b);
      const none = listener.setTls({ cert: 'none', key: 'none' });
      await expect(none).rejects.toThrow(/^Cannot read the certificates of cert/);
      const second = await dial(listener, { servername: 'b.test' });
      expect(second.getPeerCertificate().subject.CN).toBe('b.test');
      for (const socket of [first, second]) {
        socket.end('hello');
        expect(await text(socket)).toBe('hello');
      }
    }));

  test('a handshake that does not go on is cut', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const listener = await serveEcho(core, { handshakeTimeout: 50 });
      const socket = net.connect(listener.endpoint.port, '127.0.0.1').on('error', () => {});
      await new Promise((resolve) => socket.once('close', resolve));
      await vi.waitFor(() => expect(core.stats().total).toMatchObject({ refusedTls: 1 }));
    }));

  test('a connect is cancelled in the handshake: by its timeout, a signal, or stop()', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const server = net.createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
      onTestFinished(() => void server.close());
      await once(server, 'listening');
      const { port } = server.address() as net.AddressInfo;
      const connector = new Connector(core, { session: {}, tls: { ca } });
      const to = { host: '127.0.0.1', port };
      await expect(connector.connect(to, { timeout: 50 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      const reason = new Error('enough');
      const abort = new AbortController();
      const accepted = once(server, 'connection');
      const aborted = connector.connect(to, { signal: abort.signal });
      void accepted.then(() => setImmediate(() => abort.abort(reason)));
      await expect(aborted).rejects.toBe(reason);
      const again = once(server, 'connection');
      const stopped = connector.connect(to);
      void again.then(() => setImmediate(() => connector.stop()));
      await expect(stopped).rejects.toMatchObject({ code: 'ECANCELED' });
    }));

  test('handshakes that are cut, or broken, at every byte free what they had', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const listener = await serveEcho(core);
      const hello = await clientHello();
      for (let length = 0; length <= hello.length; length += 7) {
        const socket = net.connect(listener.endpoint.port, '127.0.0.1').on('error', () => {});
        socket.resume().end(hello.subarray(0, length));
        await new Promise((resolve) => socket.once('close', resolve));
      }
      for (let at = 0; at < hello.length; at += 3) {
        const broken = Buffer.from(hello);
        broken[at]! ^= 0xff;
        const socket = net.connect(listener.endpoint.port, '127.0.0.1').on('error', () => {});
        socket.resume().end(broken);
        await new Promise((resolve) => socket.once('close', resolve));
      }
      const socket = await dial(listener);
      socket.end('hello');
      expect(await text(socket)).toBe('hello');
    }));

  test('bytes that come one at a time, and records that are broken', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const over = deferred<Error | undefined>();
      class Server extends Echo {
        override onDisconnected(error?: Error) {
          over.resolve(error);
        }
      }
      const listener = await Listener.listen(core, { ...serverOf(), session: Server });
      const raw = net.connect(listener.endpoint.port, '127.0.0.1');
      raw.setNoDelay(true);
      const slow = new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          void (async () => {
            for (const byte of chunk) await new Promise((resolve) => raw.write(Buffer.of(byte), resolve));
            done();
          })();
        },
      });
      raw.on('data', (data) => slow.push(data)).on('error', () => {});
      const socket = tls.connect({ socket: slow as net.Socket, ca, servername: 'a.test' }).on('error', () => {});
      await once(socket, 'secureConnect');
      socket.write('hello');
      expect((await read(socket, 5)).toString()).toBe('hello');
      socket.write(pattern(2000));
      expect((await read(socket, 2000)).equals(pattern(2000))).toBe(true);
      raw.write(Buffer.from([23, 3, 3, 0, 30, ...pattern(30)]));
      expect(await over.promise).toMatchObject({ code: 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC' });
      raw.destroy();
    }));

  test('a client behind a proxy: the PROXY header comes before TLS', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const names: unknown[] = [];
      const session = {
        onConnected: (session: Session) => void names.push(session.tls!.servername, session.remoteAddress),
        onReceive: (session: Session, data: Buffer) => session.send(data),
      };
      const proxy = { trusted: ['127.0.0.1'] };
      const listener = await Listener.listen(core, { ...serverOf(), proxy, session });
      const raw = net.connect(listener.endpoint.port, '127.0.0.1');
      raw.write('PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n');
      const socket = tls.connect({ socket: raw, ca, servername: 'a.test' });
      socket.end('hello');
      expect(await text(socket)).toBe('hello');
      expect(names).toEqual(['a.test', '192.0.2.7']);
    }));

  // Sockets of node:net cannot move between threads.
  test.runIf(backend !== 'portable')('worker threads accept the tickets of each other', async () => {
    const core = new built.IocpCore({ backend, threads: 2 });
    try {
      const module = new URL('modules/line.js', import.meta.url);
      const listener = await built.Listener.listen(core, { ...serverOf(), module });
      const names = new Set<string>();
      let session: Buffer | undefined;
      for (let i = 0; i < 4; i++) {
        const options = { port: listener.endpoint.port, host: '127.0.0.1', ca, servername: 'a.test', session };
        const socket = tls.connect(options).on('error', () => {});
        const ticket = once(socket, 'session');
        await once(socket, 'secureConnect');
        expect(socket.isSessionReused()).toBe(i > 0);
        socket.write('who');
        const [line] = await once(socket, 'data');
        names.add(String(line));
        [session] = (await ticket) as [Buffer];
        onTestFinished(() => void socket.destroy());
      }
      expect(names.size).toBe(2);
      const none = built.Listener.listen(core, { ...serverOf({ key: b.key }), module });
      await expect(none).rejects.toMatchObject({ code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' });
    } finally {
      await core.stop(100);
    }
  });

  // Sockets of node:net cannot move between threads.
  test.runIf(backend !== 'portable').each([false, ...(process.platform === 'linux' ? [true] : [])])(
    'all worker threads get new certificates, and a thread that replaces one has them: reusePort %s',
    async (reusePort) => {
      const core = new built.IocpCore({ backend, threads: 2 });
      try {
        const module = new URL('modules/line.js', import.meta.url);
        const listener = await built.Listener.listen(core, { ...serverOf(), module, reusePort });
        await listener.setTls(b);
        const bad = listener.setTls({ ...a, key: b.key });
        await expect(bad).rejects.toMatchObject({ code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' });
        const ids = await meetThreads(listener, new Set());
        // The threads that come instead of these have other ids.
        for (const [, socket] of ids) socket.write('exit');
        await meetThreads(listener, new Set(ids.keys()));
        await expect(
          built.Listener.listen(core, { host: '127.0.0.1', port: 0, module }).then((plain) => plain.setTls(b)),
        ).rejects.toMatchObject({ code: 'EINVAL' });
      } finally {
        await core.stop(100);
      }
    },
  );

  test('a service connects again, and resumes', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const listener = await serveEcho(core);
      const reused: boolean[] = [];
      const third = deferred();
      const service = new ClientService(core, {
        target: { host: '127.0.0.1', port: listener.endpoint.port },
        tls: { ca, servername: 'a.test' },
        backOff: { first: 1, most: 1 },
        session: {
          onConnected: (session) => void session.send('hello'),
          onReceive: (session) => {
            reused.push(session.tls!.reused);
            if (reused.length === 3) third.resolve();
            session.end();
          },
        },
      });
      await third.promise;
      await service.stop();
      expect(reused.slice(0, 3)).toEqual([false, true, true]);
    }));

  test('a thousand connections leave nothing', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const before = { ...live };
      const listener = await serveEcho(core);
      const connector = new Connector(core, { session: Collector, tls: { ca, servername: 'a.test' } });
      for (let round = 0; round < 20; round++) {
        const connects = Array.from({ length: 50 }, () =>
          connector.connect({ host: '127.0.0.1', port: listener.endpoint.port }),
        );
        const sessions = await Promise.all(connects);
        for (const [i, session] of sessions.entries()) {
          if (i % 3 === 0) session.destroy();
          else session.end('hello');
        }
        await Promise.all(sessions.map((session) => session.over.promise));
      }
      await listener.stop();
      await connector.stop();
      expect(live.engines).toBe(before.engines);
      // Fewer, if connectors of other tests were garbage-collected meanwhile.
      expect(live.contexts).toBeLessThanOrEqual(before.contexts);
    }));
});

/** A connection to each of two threads, by its id. None is of those that are to go. All have the certificate of b.test. */
async function meetThreads(listener: built.Listener, going: ReadonlySet<string>): Promise<Map<string, tls.TLSSocket>> {
  const met = new Map<string, tls.TLSSocket>();
  while (met.size < 2) {
    const { port } = listener.endpoint;
    const socket = tls.connect({ host: '127.0.0.1', port, ca, servername: 'b.test' });
    const id = await new Promise<string | undefined>((resolve) => {
      socket.once('data', (data) => resolve(String(data)));
      // While its thread is replaced.
      socket.once('error', ({ code }: NodeJS.ErrnoException) =>
        resolve(/ECONNRE(SET|FUSED)/.test(code!) ? undefined : code),
      );
      socket.once('close', () => resolve(undefined));
      socket.write('who');
    });
    if (id === undefined || going.has(id)) {
      socket.destroy();
    } else {
      expect(id).toMatch(/^[0-9]+$/);
      met.set(id, socket);
      onTestFinished(() => void socket.destroy());
    }
  }
  return met;
}

async function nodeCode(port: number, options: TlsClientOptions): Promise<string> {
  try {
    const socket = tls.connect({ host: '127.0.0.1', port, ...(options as tls.ConnectionOptions) });
    const [error] = await once(socket, 'error');
    return error.code;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code!;
  }
}

/** The first bytes of a client of node:tls. */
async function clientHello(): Promise<Buffer> {
  const first = deferred<Buffer>();
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      first.resolve(Buffer.from(chunk));
      done();
    },
  });
  tls.connect({ socket: stream as net.Socket, servername: 'a.test' }).on('error', () => {});
  const hello = await first.promise;
  stream.destroy();
  return hello;
}
