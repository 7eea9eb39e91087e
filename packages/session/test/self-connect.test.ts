// A client that connects to a local port where nothing listens, until the kernel gives it that very port: it must never be its
// own peer. In a network namespace with few ports, where that happens within some tries; only Linux has such, and only where
// this user may make one.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { onEachBackend } from './support.js';

const prepare = 'ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range="40000 40010"';
const isolated = (...command: string[]) =>
  spawnSync('unshare', ['-Urn', 'sh', '-c', ...command], { encoding: 'utf8', timeout: 60_000 });
const possible = process.platform === 'linux' && isolated(prepare).status === 0;
const run = (script: string) =>
  isolated(
    `cd ${fileURLToPath(new URL('..', import.meta.url))} && ${prepare} && exec "$0" --input-type=module -e "$1"`,
    process.execPath,
    script,
  );

onEachBackend((backend) => {
  // Only a network namespace can have so few ports.
  test.skipIf(!possible)('connect() is refused when it reaches itself', () => {
    const { stdout, stderr } = run(`
      import { IocpCore } from '@overlapped/net-core';
      import { Connector } from '@overlapped/session';
      const core = new IocpCore({ backend: '${backend}', threads: 0 });
      const connector = new Connector(core, { session: {} });
      const codes = new Set();
      for (let i = 0; i < 200; i++) {
        await connector.connect({ host: '127.0.0.1', port: 40004 }).then(() => codes.add('itself'), ({ code }) => codes.add(code));
      }
      await core.stop();
      console.log(...codes, core.port.stats.sockets);
    `);
    expect(stderr).toBe('');
    expect(stdout.trim()).toBe('ECONNREFUSED 0');
  });

  // As above.
  test.skipIf(!possible)('a datagram session is never its own peer', () => {
    const { stdout, stderr } = run(`
      import { IocpCore } from '@overlapped/net-core';
      import { DatagramSession } from '@overlapped/session';
      const core = new IocpCore({ backend: '${backend}', threads: 0 });
      let itself = 0;
      for (let i = 0; i < 60; i++) {
        const session = await DatagramSession.connect(core, { host: '127.0.0.1', port: 40004, session: {} });
        if (session.local.port === 40004) itself++;
        await session.destroy();
      }
      await core.stop();
      console.log(itself, core.port.stats.sockets);
    `);
    expect(stderr).toBe('');
    expect(stdout.trim()).toBe('0 0');
  });
});
