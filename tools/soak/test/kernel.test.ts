// What a kernel does to a server: it refuses what the server would like to have, interrupts it, stops it and kills it.

import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { freePort } from '../../../vitest.ports.js';
import { Peer } from '../src/peer.js';
import { Server } from '../src/processes.js';
import { message } from '../src/random.js';
import { backends, onLinux, seeServed, serving, testUnless, whyNot } from './support.js';

const FEW = 20;
/** Under limits of its own, and without the right of root to pass them. */
const WITHOUT_RIGHTS = process.getuid?.() === 0 ? ['setpriv', '--inh-caps=-ipc_lock', '--bounding-set=-ipc_lock'] : [];

/** Connects some peers, each with a message under way. */
function talkingPeers(server: Server): Promise<{ peer: Peer; data: Buffer }[]> {
  return Promise.all(
    Array.from({ length: FEW }, async (_, i) => {
      const peer = await Peer.connect(server.ports.echo);
      const data = message(i, 100_000);
      peer.socket.write(data);
      return { peer, data };
    }),
  );
}

onLinux('what the kernel refuses', () => {
  const noLimits = whyNot(...WITHOUT_RIGHTS, 'prlimit', '--memlock=0', 'true');

  // None, and less than the smallest port needs.
  for (const bytes of [0, 40 << 10]) {
    testUnless(noLimits, `no more than ${bytes} bytes of memory may be locked`, async () => {
      await serving({ under: [...WITHOUT_RIGHTS, 'prlimit', `--memlock=${bytes}`] }, async (server) => {
        const { backend, candidates } = server.greeting;
        const { availability } = candidates.find(({ name }) => name === 'io_uring')!;
        // Whether the memory of a ring counts is the kernel's affair.
        expect(backend).toBe(availability.available ? 'io_uring' : 'epoll');
        if (!availability.available) expect(availability.reason).toContain('RLIMIT_MEMLOCK');
        await Promise.all(Array.from({ length: FEW }, () => seeServed(server)));
      });
    });
  }

  const noRing = backends.includes('io_uring') ? undefined : 'io_uring is not available';

  testUnless(noLimits ?? noRing, 'the usual 8 MiB of locked memory are enough for 20 threads', async () => {
    const fixture = fileURLToPath(new URL('fixtures/many-threads.mjs', import.meta.url));
    const line = [...WITHOUT_RIGHTS, 'prlimit', `--memlock=${8 << 20}`, process.execPath, fixture, '20', 'io_uring'];
    const { stdout } = await promisify(execFile)(line[0]!, line.slice(1));
    expect(stdout).toBe('served\n');
  });

  test('io_uring is forbidden: it is said why, and epoll serves', async () => {
    await serving({ first: 'forbid-io-uring' }, async (server) => {
      const { backend, candidates } = server.greeting;
      const refused = candidates.find(({ name }) => name === 'io_uring')!.availability;
      expect(refused).toEqual({ available: false, reason: expect.stringMatching(/EPERM|not permitted/i) });
      expect(backend).toBe('epoll');
      await seeServed(server);
    });
  });

  test('io_uring is forbidden: two threads serve', async () => {
    const fixture = fileURLToPath(new URL('fixtures/many-threads.mjs', import.meta.url));
    const filter = fileURLToPath(new URL('../dist/forbid-io-uring.js', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', filter, fixture, '2']);
    expect(stdout).toBe('served\n');
  });

  testUnless(noRing, 'io_uring is forbidden after it was found available: the next backend serves', async () => {
    const fixture = fileURLToPath(new URL('fixtures/forbidden-midway.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [fixture]);
    const reason = expect.stringContaining('forbidden');
    expect(JSON.parse(stdout)).toEqual({
      before: 'io_uring',
      after: 'epoll',
      refused: 'ENOTSUP',
      availability: { available: false, reason },
    });
  });
});

onLinux('signals', () => {
  // Where the port is not the kernel's there is no dedicated pump.
  const pumps = backends.flatMap((backend) =>
    (backend === 'portable' ? [false] : [false, true]).map((dedicated) => ({ backend, dedicated })),
  );

  test.each(pumps)('$backend, dedicated $dedicated: a storm of signals loses nothing', async (launch) => {
    await serving(launch, async (server) => {
      const storm = setInterval(() => {
        for (let i = 0; i < 100; i++) server.process.kill('SIGUSR2');
      }, 1);
      try {
        for (let i = 0; i < FEW; i++) await Promise.all(Array.from({ length: 5 }, () => seeServed(server)));
      } finally {
        clearInterval(storm);
      }
      expect((await server.sample()).signals).toBeGreaterThan(FEW);
    });
  });

  test.each(pumps)('$backend, dedicated $dedicated: a server that was suspended goes on', async (launch) => {
    await serving(launch, async (server) => {
      const peers = await talkingPeers(server);
      server.process.kill('SIGSTOP');
      for (const { peer, data } of peers) peer.socket.write(data);
      // Long enough for whatever would give up.
      await sleep(500);
      server.process.kill('SIGCONT');
      for (const { peer, data } of peers) {
        await peer.expect(data);
        await peer.expect(data);
        await peer.end();
      }
      await server.until(({ sessions }) => sessions === 0);
    });
  });

  test.each(backends)('%s: killed in the middle of traffic, the next one has its port at once', async (backend) => {
    const first = await Server.start({ backend, port: await freePort() });
    await talkingPeers(first);
    await first.kill();
    await serving({ backend, port: first.ports.echo }, async (server) => {
      expect(server.ports.echo).toBe(first.ports.echo);
      await seeServed(server);
    });
  });
});
