// Key-value servers under measurement: ours, the same one on node:net, and Redis itself.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { pathOf } from '../paths.js';
import type { Rival } from './rivals.js';

export const kv: Rival = {
  by: 'kv',
  command: () => [process.execPath, createRequire(import.meta.url).resolve('@overlapped/kv/cli'), '--port', '0'],
  portIn: (line) => Number(/:(\d+),/.exec(line)?.[1]),
};

export const kvOnNet: Rival = {
  by: 'node:net',
  command: () => [process.execPath, pathOf('rivals/kv-net.js')],
};

/** Redis, on a port of our choice, as it cannot choose a free one itself. It keeps nothing. */
export async function redis(): Promise<Rival> {
  const port = await freePort();
  return {
    by: 'redis-server',
    command() {
      if (spawnSync('redis-server', ['--version']).error) throw new Error('Debian has it as redis-server');
      // Its protected mode lets in 127.0.0.1 alone, and the load generator has other addresses of the loopback, too.
      const options = { port, bind: '127.0.0.1', 'protected-mode': 'no', save: '', appendonly: 'no' };
      return ['redis-server', ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])];
    },
    portIn: (line) => (/ready to accept connections/i.test(line) ? port : undefined),
  };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
