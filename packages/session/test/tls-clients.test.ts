// TLS sessions with other people's programs as the peers: openssl, curl, sslscan, Chromium, and what is built on Node's http.

import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type net from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import type { BackendName } from '@overlapped/iocp-native';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Connector, Listener, Session, type TlsInfo, type TlsServerOptions } from '../src/index.js';
import { makeCertificates } from './certificates.js';
import { fastifyServer } from './http-support.js';
import { folderWith, programOf, run, start, testWith } from './programs.js';
import { openCore } from './streams.js';
import { deferred, onEveryBackend, pattern, withCore } from './support.js';
import { HOST, nodeSide, sessionSide } from './tls-sides.js';

const { authority, ca, a, b, client } = await makeCertificates();
const other = await makeCertificates();
/** Debian's headless one, or what is like it. */
const CHROMIUM = ['chromium-headless-shell', 'chromium', 'google-chrome'];

class Echo extends Session {
  override onReceive(data: Buffer) {
    this.send(data);
  }
}

interface Site {
  readonly port: number;
  /** What each session said of its TLS. */
  readonly infos: TlsInfo[];
}

/** An http server over TLS sessions; HTTP/2 for clients that agree on it. */
async function serveSite(
  backend: BackendName,
  server: http.Server,
  options: Partial<TlsServerOptions> = {},
  second?: http2.Http2Server,
): Promise<Site> {
  const infos: TlsInfo[] = [];
  const ALPNProtocols = second ? ['h2', 'http/1.1'] : ['http/1.1'];
  const listener = await Listener.listen(openCore(backend), {
    host: HOST,
    port: 0,
    tls: { ...a, ALPNProtocols, ...options },
    session: {
      onConnected(session) {
        const info = session.tls!;
        infos.push(info);
        const to = info.alpnProtocol === 'h2' ? second! : server;
        to.emit('connection', session.toDuplex());
      },
    },
  });
  return { port: listener.endpoint.port, infos };
}

/** Sends the body of each request back. */
const reflect = (request: http.IncomingMessage | http2.Http2ServerRequest, response: NodeJS.WritableStream) =>
  void request.pipe(response);

/** Resolves when a stream says something. */
function hears(stream: NodeJS.ReadableStream, words: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve) => {
    let said = '';
    stream.on('data', (part) => {
      said += part;
      const found = words.exec(said);
      if (found !== null) resolve(found);
    });
  });
}

onEveryBackend((backend) => {
  describe('openssl', () => {
    testWith('openssl').each(['-tls1_2', '-tls1_3'])('s_client, with a key update: %s', (version) =>
      withCore({ backend, threads: 0 }, async (core) => {
        const tls = { ...a, ALPNProtocols: ['echo/1'] };
        const listener = await Listener.listen(core, { host: HOST, port: 0, tls, session: Echo });
        const address = `${HOST}:${listener.endpoint.port}`;
        const how = ['-CAfile', 'ca', '-servername', 'a.test', '-alpn', 'echo/1', version];
        const child = start('openssl', ['s_client', '-connect', address, ...how], folderWith({ ca }));
        const output = text(child.stdout!);
        const first = hears(child.stdout!, /first from openssl/);
        child.stdin!.write('first from openssl\n');
        await first;
        if (version === '-tls1_3') {
          // K updates the keys of both directions. It is a command only if it comes alone.
          const updated = hears(child.stderr!, /KEYUPDATE/);
          child.stdin!.write('K\n');
          await updated;
        }
        const second = hears(child.stdout!, /second from openssl/);
        child.stdin!.write('second from openssl\n');
        await second;
        child.stdin!.write('Q\n');
        const said = await output;
        expect(said).toContain('Verification: OK');
        expect(said).toContain('ALPN protocol: echo/1');
      }),
    );

    testWith('openssl')('s_client asks for a renegotiation, and gets none', () =>
      withCore({ backend, threads: 0 }, async (core) => {
        const over = deferred<Error | undefined>();
        class Server extends Echo {
          override onDisconnected(error?: Error) {
            over.resolve(error);
          }
        }
        const listener = await Listener.listen(core, { host: HOST, port: 0, tls: a, session: Server });
        const address = `${HOST}:${listener.endpoint.port}`;
        const child = start('openssl', ['s_client', '-connect', address, '-tls1_2']);
        const output = text(child.stderr!);
        const first = hears(child.stdout!, /first from openssl/);
        child.stdin!.write('first from openssl\n');
        await first;
        child.stdin!.write('R\n');
        expect(await output).toContain('no renegotiation');
        await over.promise;
      }),
    );

    testWith('openssl').each(['-tls1_2', '-tls1_3'])('s_server, which asks for a certificate: %s', (version) =>
      withCore({ backend, threads: 0 }, async (core) => {
        const args = ['s_server', '-accept', `${HOST}:0`, '-cert', 'cert', '-key', 'key', '-CAfile', 'ca', '-rev'];
        const child = start('openssl', [...args, '-Verify', '2', version], folderWith({ ca, ...a }));
        const [, port] = await hears(child.stdout!, /ACCEPT 127\.0\.0\.1:(\d+)\n/);
        const received = deferred<Buffer>();
        const connector = new Connector(core, {
          session: { onReceive: (_, data) => received.resolve(Buffer.from(data)) },
          tls: { ca, servername: 'a.test', ...client },
        });
        const session = await connector.connect({ host: HOST, port: Number(port) });
        session.send('hello\n');
        expect(String(await received.promise)).toBe('olleh\n');
        session.destroy();
      }),
    );
  });

  describe('files of openssl', () => {
    testWith('openssl')('a PFX with its passphrase, as in node:tls', () =>
      withCore({ backend, threads: 0 }, async (core) => {
        const folder = folderWith({ ca, ...a });
        const what = [
          '-export',
          '-inkey',
          'key',
          '-in',
          'cert',
          '-certfile',
          'ca',
          '-passout',
          'pass:word',
          '-out',
          'pfx',
        ];
        await run('openssl', ['pkcs12', ...what], folder);
        const pfx = readFileSync(join(folder, 'pfx'));
        const expected = { authorized: true, peer: 'a.test' };
        for (const side of [nodeSide, sessionSide(core)]) {
          const { port } = await side.serve({ pfx, passphrase: 'word' });
          expect(await side.ask(port, { ca, servername: 'a.test' })).toMatchObject(expected);
          // The authority in it is trusted.
          expect(await side.ask(port, { pfx, passphrase: 'word', servername: 'a.test' })).toMatchObject(expected);
        }
        const wrong = Listener.listen(core, { host: HOST, port: 0, tls: { pfx, passphrase: 'no' }, session: Echo });
        await expect(wrong).rejects.toMatchObject({ code: 'ERR_OSSL_PKCS12_MAC_VERIFY_FAILURE' });
        const none = Listener.listen(core, { host: HOST, port: 0, tls: { pfx: Buffer.from('no') }, session: Echo });
        await expect(none).rejects.toThrow(/^Cannot read the PFX/);
      }),
    );

    testWith('openssl')('a list of revoked certificates, as in node:tls', () =>
      withCore({ backend, threads: 0 }, async (core) => {
        const config = '[ca]\ndefault_ca=all\n[all]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=9\n';
        const { cert, key } = authority;
        const folder = folderWith({ config, index: '', cert, key, revoked: a.cert });
        const args = ['ca', '-config', 'config', '-keyfile', 'key', '-cert', 'cert'];
        await run('openssl', [...args, '-revoke', 'revoked'], folder);
        const crl = await run('openssl', [...args, '-gencrl'], folder);
        for (const side of [nodeSide, sessionSide(core)]) {
          const ask = async (identity: object, name: string) =>
            side.ask((await side.serve(identity)).port, { ca, crl, servername: name });
          expect(await ask(b, 'b.test')).toMatchObject({ authorized: true });
          expect(await ask(a, 'a.test')).toEqual({ failed: 'CERT_REVOKED' });
          expect(await ask(other.a, 'a.test')).not.toMatchObject({ authorized: true });
        }
        const none = Listener.listen(core, { host: HOST, port: 0, tls: { ...a, crl: 'none' }, session: Echo });
        await expect(none).rejects.toThrow(/^Cannot read the revoked certificates of crl/);
      }),
    );
  });

  describe('curl', () => {
    const args = (port: number) => ['-sS', '--cacert', 'ca', '--resolve', `a.test:${port}:${HOST}`];

    testWith('curl').each([
      ['--tlsv1.3', '--http1.1', 'TLSv1.3', 'http/1.1'],
      ['--tls-max 1.2', '--http1.1', 'TLSv1.2', 'http/1.1'],
      ['--tlsv1.3', '--http2', 'TLSv1.3', 'h2'],
    ])('sends a large body and gets it back: %s %s', async (version, kind, protocol, alpnProtocol) => {
      const { port, infos } = await serveSite(backend, http.createServer(reflect), {}, http2.createServer(reflect));
      const folder = folderWith({ ca, body: pattern(3_000_000) });
      const url = `https://a.test:${port}/`;
      const how = [...version.split(' '), kind, '--data-binary', '@body', '-o', 'answer'];
      const said = await run('curl', [...args(port), ...how, '-w', '%{http_code} %{ssl_verify_result}', url], folder);
      expect(said).toBe('200 0');
      await run('cmp', ['body', 'answer'], folder);
      expect(infos).toMatchObject([{ protocol, alpnProtocol, servername: 'a.test' }]);
    });

    testWith('curl')('shows its certificate, and is refused without one', async () => {
      const server = http.createServer((_, response) => response.end('welcome'));
      const { port, infos } = await serveSite(backend, server, { ca, requestCert: true });
      const folder = folderWith({ ca, ...client });
      const url = `https://a.test:${port}/`;
      await expect(run('curl', [...args(port), url], folder)).rejects.toMatchObject({ code: 56 });
      expect(await run('curl', [...args(port), '--cert', 'cert', '--key', 'key', url], folder)).toBe('welcome');
      expect(infos.map(({ peerCertificate }) => peerCertificate!.subject)).toEqual(['CN=a client']);
    });

    testWith('curl')('many requests at once, and one after the other on one connection', async () => {
      const server = http.createServer((request, response) => response.end(`${request.url} `));
      const { port, infos } = await serveSite(backend, server);
      const folder = folderWith({ ca });
      const url = `https://a.test:${port}/[1-20]`;
      const answers = (said: string) => said.trim().split(' ').sort();
      const expected = Array.from({ length: 20 }, (_, i) => `/${i + 1}`).sort();
      expect(answers(await run('curl', [...args(port), url], folder))).toEqual(expected);
      expect(infos.length).toBe(1);
      const parallel = ['--parallel', '--parallel-max', '10', '--parallel-immediate'];
      expect(answers(await run('curl', [...args(port), ...parallel, url], folder))).toEqual(expected);
      expect(infos.length).toBeGreaterThan(2);
    });
  });

  testWith('sslscan')('sslscan finds nothing weak, and the same as at a server of node:tls', () =>
    withCore({ backend, threads: 0 }, async (core) => {
      const listener = await Listener.listen(core, { host: HOST, port: 0, tls: a, session: Echo });
      const server = tls.createServer(a).on('tlsClientError', () => {});
      server.on('secureConnection', (socket) => socket.on('error', () => {}).resume());
      server.listen(0, HOST);
      onTestFinished(() => void server.close());
      await once(server, 'listening');
      const [ours, theirs] = await Promise.all(
        [listener.endpoint.port, (server.address() as net.AddressInfo).port].map(scan),
      );
      expect(ours!.weak).toEqual([]);
      expect(ours!.findings).toEqual(theirs!.findings);
      // It does find something where there is something to be found.
      expect(ours!.findings.length).toBeGreaterThan(20);
    }),
  );

  testWith(...CHROMIUM).each(['TLSv1.2', 'TLSv1.3'] as const)(
    'Chromium loads a page, posts, and opens a WebSocket: %s',
    async (maxVersion) => {
      const requests = http.createServer(serve);
      const seen = deferred();
      new WebSocketServer({ server: requests }).on('connection', (socket) => {
        socket.on('message', (data) => socket.send(String(data))).on('close', () => seen.resolve());
      });
      const second = http2.createServer((request, response) => serve(request as never, response as never));
      const { port, infos } = await serveSite(backend, requests, { maxVersion }, second);
      const key = new X509Certificate(a.cert).publicKey.export({ type: 'spki', format: 'der' });
      const options = [
        '--no-sandbox',
        '--dump-dom',
        `--user-data-dir=${folderWith({})}`,
        `--host-resolver-rules=MAP a.test ${HOST}`,
        // The certificate's authority is that of this test.
        `--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`,
        '--timeout=30000',
      ];
      const page = await run(programOf(...CHROMIUM), [...options, `https://a.test:${port}/`]);
      expect(page).toContain('<p>1000000 true secure</p>');
      const protocols = infos.map(({ alpnProtocol }) => alpnProtocol);
      expect(protocols).toContain('h2');
      expect(protocols).toContain('http/1.1');
      expect(new Set(infos.map(({ protocol }) => protocol))).toEqual(new Set([maxVersion]));

      function serve(request: http.IncomingMessage, response: http.ServerResponse) {
        response.setHeader('content-type', 'text/html');
        if (request.method === 'POST') reflect(request, response);
        else if (request.url === '/') response.end(PAGE);
        // The page counts as loaded when it has done all that it has to do.
        else void seen.promise.then(() => response.end());
      }
    },
  );

  test('Fastify', async () => {
    const { port, infos } = await serveSite(backend, await fastifyServer());
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca, servername: 'a.test' });
    onTestFinished(() => agent.destroy());
    const ask = async (path: string, method: string, body?: string) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const request = https.request({ host: HOST, port, path, method, headers, agent }).end(body);
      const [response] = await once(request, 'response');
      return JSON.parse(await text(response));
    };
    expect(await ask('/hello/world', 'GET')).toEqual({ hello: 'world', ip: HOST });
    expect(await ask('/sum', 'POST', '[1,2,3]')).toEqual({ sum: 6 });
    expect(await ask('/nowhere', 'GET')).toMatchObject({ statusCode: 404 });
    expect(infos.length).toBe(1);
  });

  test('ws: texts, large messages, pings, and an orderly end', async () => {
    const server = http.createServer();
    new WebSocketServer({ server }).on('connection', (socket) => {
      socket.on('message', (data, binary) => socket.send(data, { binary }));
    });
    const { port } = await serveSite(backend, server);
    const options: https.RequestOptions = { ca, servername: 'a.test' };
    const socket = new WebSocket(`wss://${HOST}:${port}`, [], options);
    await once(socket, 'open');
    for (const message of ['hello', pattern(1_000_000), '']) {
      socket.send(message);
      const [data, binary] = await once(socket, 'message');
      expect([binary, data.equals(Buffer.from(message))]).toEqual([typeof message !== 'string', true]);
    }
    socket.ping('are you there?');
    expect(String((await once(socket, 'pong'))[0])).toBe('are you there?');
    socket.close(4000, 'enough');
    const [code, reason] = await once(socket, 'close');
    expect([code, String(reason)]).toEqual([4000, 'enough']);
  });
});

/** It posts a large body and compares the answer, and then asks a WebSocket. */
const PAGE = `<!doctype html><title>a page</title><body><script>
  const body = new Uint8Array(1000000).map((_, i) => i % 251);
  fetch('/', { method: 'POST', body }).then(async (response) => {
    const answer = new Uint8Array(await response.arrayBuffer());
    const same = answer.every((byte, i) => byte === body[i]);
    const socket = new WebSocket('wss://' + location.host);
    socket.onopen = () => socket.send('secure');
    const word = await new Promise((resolve) => { socket.onmessage = ({ data }) => resolve(data); });
    document.body.append(Object.assign(document.createElement('p'), { textContent: [answer.length, same, word].join(' ') }));
    socket.close();
  });
</script><iframe src="/done"></iframe>`;

/** What sslscan finds at a port, and what of that is weak. */
async function scan(port: number): Promise<{ findings: string[]; weak: string[] }> {
  const said = await run('sslscan', ['--no-colour', '--xml=-', `${HOST}:${port}`]);
  const findings = said.split('\n').flatMap((line) => {
    const found =
      /<(protocol|renegotiation|compression|heartbleed|cipher|group|connection-signature-algorithm) .*\/>/.exec(line);
    return found ? [found[0]] : [];
  });
  const weak = findings.filter(
    (finding) =>
      /<protocol (type="ssl"|.*version="1\.[01]").*enabled="1"|supported="1"|vulnerable="1"/.test(finding) ||
      (finding.startsWith('<cipher') && !/strength="(strong|acceptable)"/.test(finding)) ||
      Number(/bits="(\d+)"/.exec(finding)?.[1] ?? 128) < 112,
  );
  return { findings, weak };
}
