// Slow clients of http over sessions, as slowhttptest plays them: Node's own timeouts end those that ask slowly, and
// `timeouts.write` those that read slowly, while everybody else is served.

import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { type BackendName, IocpCore, Listener } from '@overlapped/session';
import { expect, onTestFinished } from 'vitest';
import { backends, onLinux, testUnless, whyNot } from './support.js';

const run = promisify(execFile);

const CLIENTS = 50;
const SLOW_HEADERS = ['-H', '-i', '1'];
const SLOW_BODY = ['-B', '-i', '1', '-s', '8192'];
/** Windows of 10 to 20 bytes, of which 5 are read each second. */
const SLOW_READS = ['-X', '-n', '1', '-w', '10', '-y', '20', '-z', '5'];
/** Seconds after which the attackers give up, longer than any timeout of the server's. */
const PATIENCE = 10;
/** More than the kernel takes for a client that hardly reads. */
const LARGE = Buffer.alloc(16 << 20, 'x');

onLinux('http over sessions', () => {
  const required = process.env.OVERLAPPED_REQUIRE === 'all';
  const missing = required ? undefined : whyNot('sh', '-c', 'command -v slowhttptest');

  for (const backend of backends) {
    testUnless(missing, `${backend}: clients that ask slowly are closed, others are served`, async () => {
      const { url } = await serve(backend);
      const attacks = [attack(url, SLOW_HEADERS), attack(url, SLOW_BODY)];
      await seeServedWhile(() => attacks.some(({ child }) => child.exitCode === null), url);
      for (const { stdout } of await Promise.all(attacks)) expect(stdout).toContain('No open connections left');
    });

    testUnless(missing, `${backend}: clients that read slowly are closed, others are served`, async () => {
      const { url, codes } = await serve(backend);
      const slowly = attack(`${url}/large`, SLOW_READS);
      // Also the attacker asks, now and then, whether others are served, and does not wait for all of the answer.
      const cut = () => codes.filter((code) => code === 'ETIMEDOUT').length;
      await seeServedWhile(() => slowly.child.exitCode === null && cut() < CLIENTS, url);
      expect(cut()).toBe(CLIENTS);
      // It still reads what came before, slowly.
      slowly.child.kill();
      await slowly.catch(() => {});
    });
  }
});

/** An http server over sessions, and the errors that its connections have ended with. */
async function serve(backend: BackendName) {
  const limits = { headersTimeout: 1000, requestTimeout: 1500, connectionsCheckingInterval: 200 };
  const server = createServer(limits, (request, response) => {
    request.resume().on('end', () => response.end(request.url === '/large' ? LARGE : 'small'));
  });
  // What http does when it listens itself: from now on it watches the time.
  server.emit('listening');
  const core = new IocpCore({ backend });
  onTestFinished(async () => {
    server.close();
    await core.stop();
  });
  const codes: string[] = [];
  const { endpoint } = await Listener.listen(core, {
    host: '127.0.0.1',
    port: 0,
    timeouts: { write: 1000 },
    session: {
      onConnected: (session) => {
        const stream = session.toDuplex();
        stream.on('error', ({ code }: NodeJS.ErrnoException) => codes.push(code ?? ''));
        server.emit('connection', stream);
      },
    },
  });
  return { url: `http://127.0.0.1:${endpoint.port}`, codes };
}

function attack(url: string, kind: readonly string[]) {
  return run('slowhttptest', [...kind, '-c', `${CLIENTS}`, '-r', '200', '-l', `${PATIENCE}`, '-u', url]);
}

async function seeServedWhile(test: () => boolean, url: string): Promise<void> {
  do expect(await (await fetch(url)).text()).toBe('small');
  while (test());
}
