// What peers do to a server: too many at once, too slow, too rude, and over and over again.

import { expect, test } from 'vitest';
import { Peer } from '../src/peer.js';
import { message } from '../src/random.js';
import { backends, inParallel, LONG, onLinux, seeServed, serving } from './support.js';

const MINUTES = 60_000;
/** Milliseconds after which a silent peer is closed. */
const SILENCE = 500;

onLinux('rude peers', () => {
  test.each(backends)('%s: 2,000 resets', async (backend) => {
    await serving({ backend }, async (server) => {
      await inParallel(2000, 50, async (i) => {
        const peer = await Peer.connect(server.ports.echo);
        peer.socket.write(message(i, 1 + (i % 5000)));
        await peer.reset();
      });
      await seeServed(server);
      await server.until(({ sessions, bytesQueued, sendBuffers }) => sessions + bytesQueued + sendBuffers === 0);
    });
  });

  test.each(backends)('%s: a flood beyond the backlog is served in the end', async (backend) => {
    // Who does not fit tries again after 1 s, 3 s, 7 s: each time more than a backlog must find room.
    await serving({ backend, backlog: 64 }, async (server) => {
      server.process.kill('SIGSTOP');
      const served = Array.from({ length: 130 }, () => seeServed(server, 1000));
      server.process.kill('SIGCONT');
      await Promise.all(served);
    });
  });

  test.each(backends)('%s: peers that dribble bytes are closed, others are not', async (backend) => {
    await serving({ backend, timeouts: { read: SILENCE } }, async (server) => {
      const slow = await Promise.all(Array.from({ length: 200 }, () => Peer.connect(server.ports.echo)));
      const closed = slow.map((peer) => {
        const dribble = setInterval(() => peer.socket.write('x'), 2000);
        return new Promise<void>((resolve) => {
          peer.socket.write('x');
          peer.socket.resume();
          peer.socket.once('close', () => {
            clearInterval(dribble);
            resolve();
          });
        });
      });
      let open = true;
      let [spoke, silence] = [performance.now(), 0];
      const fast = async () => {
        const peer = await Peer.connect(server.ports.echo);
        for (let i = 0; open; i++) {
          silence = Math.max(silence, performance.now() - spoke);
          spoke = performance.now();
          peer.socket.write(message(i, 1000));
          await peer.expect(message(i, 1000));
        }
        await peer.end();
      };
      const lost = fast().then(
        () => 0,
        (error) => {
          // A machine that held this process up for so long has made a slow peer of it.
          if (Math.max(silence, performance.now() - spoke) < SILENCE / 2) throw error;
          return 1;
        },
      );
      await Promise.all(closed);
      open = false;
      expect((await server.sample()).timedOut).toBe(slow.length + (await lost));
    });
  });

  test.each(backends)('%s: peers that never read cost a bounded amount', async (backend) => {
    await serving({ backend }, async (server) => {
      const { rss } = await server.untouched();
      const peers = await Promise.all(Array.from({ length: 40 }, () => Peer.connect(server.ports.echo)));
      for (const { socket } of peers) for (let i = 0; i < 80; i++) socket.write(message(i, 100_000));
      const most = peers.length * (262_144 + 131_072);
      // Until each has more queued than the low watermark, and nothing more is read.
      let read = -1;
      const full = await server.until(({ bytesQueued, bytesReceived }) => {
        const before = read;
        read = bytesReceived;
        return bytesQueued > peers.length * 65_536 && bytesReceived === before;
      });
      await seeServed(server);
      const later = await server.sample();
      expect(Math.max(full.bytesQueued, later.bytesQueued)).toBeLessThan(most);
      expect(later.rss - rss).toBeLessThan(most + (128 << 20));
      await Promise.all(peers.map((peer) => peer.reset()));
      await server.until(({ sessions, bytesQueued, sendBuffers }) => sessions + bytesQueued + sendBuffers === 0);
    });
  });

  // Where the kernel cannot be told to take little of what they do not read, it takes 5 MB from each: only in CI, and in the long form.
  test.each(process.env.CI || LONG ? backends : backends.slice(0, 1))(
    '%s: peers that never read leave others to be served',
    { timeout: 2 * MINUTES },
    async (backend) => {
      const launch = backend === 'portable' ? { backend } : { backend, sendBufferSize: 65_536 };
      const messages = backend === 'portable' ? 60 : 8;
      await serving(launch, async (server) => {
        // More than there are send buffers, each of which one of them may hold for ever.
        const peers = await Promise.all(Array.from({ length: 1200 }, () => Peer.connect(server.ports.echo)));
        for (const { socket } of peers) for (let i = 0; i < messages; i++) socket.write(message(i, 100_000));
        let read = -1;
        await server.until(({ sendBuffers, bytesQueued, bytesReceived }) => {
          if (backend === 'portable') return sendBuffers >= 1024;
          // The others send what waits from where it lies: those peers cannot hold all send buffers. Until nothing more is read.
          const before = read;
          read = bytesReceived;
          return bytesQueued > peers.length * 65_536 && bytesReceived === before;
        });
        for (let i = 0; i < 5; i++) await seeServed(server, 1000);
        await Promise.all(peers.map((peer) => peer.reset()));
        await server.until(({ sessions, bytesQueued, sendBuffers }) => sessions + bytesQueued + sendBuffers === 0);
      });
    },
  );

  const many = LONG ? 100_000 : 5000;
  test.each(backends)(`%s: ${many} connections, opened and closed`, { timeout: 5 * MINUTES }, async (backend) => {
    await serving({ backend }, async (server) => {
      const before = await server.untouched();
      await inParallel(many, 100, async (i) => {
        // Closed connections keep their ports for a while, so the addresses take turns.
        const peer = await Peer.connect(server.ports.echo, `127.0.0.${2 + (i % 200)}`);
        peer.socket.end(message(i, 10));
        await peer.expect(message(i, 10));
        await peer.end();
      });
      const after = await server.until(({ sessions }) => sessions === 0);
      expect(after.accepted - before.accepted).toBe(many);
      expect(after.descriptors).toBe(before.descriptors);
      expect(after.events).toBe(before.events);
    });
  });
});
