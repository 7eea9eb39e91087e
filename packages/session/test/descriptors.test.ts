// Out of descriptors: accepting backs off and resumes, and whoever waited is served.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { deferred, onEveryBackend } from './support.js';

const server = fileURLToPath(new URL('./fixtures/echo-server.mjs', import.meta.url));
const CLIENTS = 80;

onEveryBackend((backend) => {
  const unsupported = process.platform === 'win32' || backend === 'portable';
  // libuv's own accept() takes and closes what it has no descriptor for, so node:net cannot keep this promise; and
  // Windows has no such limit.
  test.skipIf(unsupported)('a listener that runs out of descriptors goes on when there are some', async () => {
    const command = `ulimit -n 64; exec "${process.execPath}" "${server}" ${backend}`;
    const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const port = Number((await lines.next()).value);
    const served = deferred();
    let count = 0;
    for (let i = 0; i < CLIENTS; i++) {
      const client = net.connect({ host: '127.0.0.1', port });
      client.on('connect', () => client.write('x'));
      client.once('data', () => {
        if (++count === CLIENTS) served.resolve();
        // Those who were served make room, once the server has run out.
        if (count > 10) client.destroy();
      });
      client.on('error', () => {});
    }
    await served.promise;
    child.stdin.end();
    const stats = JSON.parse((await lines.next()).value ?? '');
    expect(stats.accepted).toBe(CLIENTS);
    expect(stats.failed).toBeGreaterThan(0);
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
  });
});
