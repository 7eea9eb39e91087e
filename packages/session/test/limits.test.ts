// What a listener lets in: sessions in all and for each address, connections in a second, and lists of addresses.

import { once } from 'node:events';
import net, { BlockList } from 'node:net';
import type { CoreStats } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import { describe, expect, test } from 'vitest';
import { Listener, type ListenOptions } from '../src/index.js';
import { closing, dial, listen, onEachBackend, peerOf, read, withCore } from './support.js';

const ECHO = { onReceive: (session: { send(data: Buffer): boolean }, data: Buffer) => session.send(data) };

/** Whether a connection is served; waits until it is, or is reset. */
async function served(socket: net.Socket): Promise<boolean> {
  socket.write('x');
  return read(socket, 1).then(
    () => true,
    () => false,
  );
}

function list(...addresses: string[]): BlockList {
  const made = new BlockList();
  for (const address of addresses) made.addAddress(address, address.includes(':') ? 'ipv6' : 'ipv4');
  return made;
}

/** Lets accepting go on as far as it would: the listener looks for room every 20 ms. */
async function rounds(socket: net.Socket): Promise<void> {
  for (const end = performance.now() + 60; performance.now() < end; ) await served(socket);
}

onEachBackend((backend) => {
  const limited = (core: Core, limits: Partial<ListenOptions>) => listen(core, { session: ECHO, ...limits });
  const refusals = (core: Core) => {
    const { refused, refusedFull, refusedRate, refusedDenied, refusedAddress } = core.stats().total;
    return { refused, refusedFull, refusedRate, refusedDenied, refusedAddress };
  };
  const none = { refused: 0, refusedFull: 0, refusedRate: 0, refusedDenied: 0, refusedAddress: 0 };

  describe('the most sessions', () => {
    test('beyond them a connection is reset, and served again when there is room', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await limited(core, { maxSessions: 2 });
        const other = await limited(core, {});
        const peers = [await peerOf(listener), await peerOf(listener)] as const;
        for (const peer of peers) expect(await served(peer)).toBe(true);
        expect(await served(dial(listener))).toBe(false);
        expect(listener.stats).toMatchObject({ accepted: 2, refused: 1 });
        expect(refusals(core)).toEqual({ ...none, refused: 1, refusedFull: 1 });
        // It is the listener's limit, not the core's.
        expect(await served(await peerOf(other))).toBe(true);
        peers[0].destroy();
        while (listener.sessions.size === 2) await new Promise((resolve) => setImmediate(resolve));
        expect(await served(await peerOf(listener))).toBe(true);
      });
    });

    test('what waits stays with the kernel until there is room', async () => {
      await withCore({ backend }, async (core) => {
        let most = 0;
        const listener: Listener = await listen(core, {
          session: {
            ...ECHO,
            onConnected: () => {
              most = Math.max(most, listener.sessions.size);
            },
          },
          maxSessions: 2,
          whenFull: 'wait',
        });
        const peers = await Promise.all(Array.from({ length: 6 }, () => peerOf(listener)));
        // Whoever is served leaves, and makes room for another.
        const all = peers.map(async (peer) => {
          expect(await served(peer)).toBe(true);
          peer.destroy();
        });
        await Promise.all(all);
        expect(most).toBe(2);
        expect(refusals(core)).toEqual(none);
        expect(listener.stats).toEqual({ accepted: 6, failed: 0, refused: 0 });
      });
    });

    test('a listener that stops resets what waits', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await limited(core, { maxSessions: 1, whenFull: 'wait' });
        const peers = await Promise.all(Array.from({ length: 4 }, () => peerOf(listener)));
        const closed = peers.map((peer) => closing(peer.resume()));
        expect(await served(peers[0]!)).toBe(true);
        await listener.stop();
        for (const peer of peers) peer.end();
        await Promise.all(closed);
        expect(core.timers.size).toBe(0);
      });
    });
  });

  describe('the most sessions of an address', () => {
    test('beyond them a connection is reset, until one of its others has ended', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await limited(core, { maxSessionsPerAddress: 2 });
        const peers = [await peerOf(listener), await peerOf(listener)] as const;
        for (const peer of peers) expect(await served(peer)).toBe(true);
        for (let i = 0; i < 3; i++) expect(await served(dial(listener))).toBe(false);
        expect(refusals(core)).toEqual({ ...none, refused: 3, refusedAddress: 3 });
        expect(core.sessions).toBe(2);
        for (const [i, peer] of peers.entries()) {
          peer.destroy();
          while (listener.sessions.size > 1 - i) await new Promise((resolve) => setImmediate(resolve));
        }
        for (let i = 0; i < 2; i++) expect(await served(await peerOf(listener))).toBe(true);
        expect(await served(dial(listener))).toBe(false);
      });
    });

    // Elsewhere the loopback network has one address.
    test.runIf(['linux', 'win32'].includes(process.platform))(
      'one address does not use up what is for another',
      async () => {
        await withCore({ backend }, async (core) => {
          const listener = await Listener.listen(core, { port: 0, session: ECHO, maxSessionsPerAddress: 1 });
          const from = async (localAddress: string) => {
            const socket = net.connect({ host: '127.0.0.1', port: listener.endpoint.port, localAddress });
            socket.on('error', () => {});
            return served(socket);
          };
          expect(await from('127.0.0.1')).toBe(true);
          expect(await from('127.0.0.2')).toBe(true);
          expect(await from('127.0.0.1')).toBe(false);
          expect(await from('127.0.0.2')).toBe(false);
        });
      },
    );
  });

  describe('connections in a second', () => {
    test('beyond the burst they are reset, and others come with time', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await limited(core, { rate: { perSecond: 0.001, burst: 3 } });
        const outcomes = [];
        for (let i = 0; i < 5; i++) outcomes.push(await served(dial(listener)));
        expect(outcomes).toEqual([true, true, true, false, false]);
        expect(refusals(core)).toEqual({ ...none, refused: 2, refusedRate: 2 });
        const quick = await limited(core, { rate: { perSecond: 50, burst: 1 } });
        expect(await served(dial(quick))).toBe(true);
        while (!(await served(dial(quick)))) await new Promise((resolve) => setImmediate(resolve));
      });
    });

    test('those that wait are served when their time has come', async () => {
      await withCore({ backend }, async (core) => {
        const quick = await limited(core, { rate: { perSecond: 50, burst: 1 }, whenFull: 'wait' });
        const peers = await Promise.all(Array.from({ length: 5 }, () => peerOf(quick)));
        expect(await Promise.all(peers.map(served))).toEqual(peers.map(() => true));
        const slow = await limited(core, { rate: { perSecond: 0.001, burst: 1 }, whenFull: 'wait' });
        const first = await peerOf(slow);
        expect(await served(first)).toBe(true);
        await peerOf(slow);
        await rounds(first);
        expect(slow.stats).toEqual({ accepted: 1, failed: 0, refused: 0 });
        expect(refusals(core)).toEqual(none);
      });
    });
  });

  describe('lists of addresses', () => {
    test('what is denied, or not allowed, is reset, and uses up no tokens', async () => {
      await withCore({ backend }, async (core) => {
        const here = list('127.0.0.1');
        const elsewhere = list('192.0.2.1');
        expect(await served(await peerOf(await limited(core, { allow: here, deny: elsewhere })))).toBe(true);
        const denying = await limited(core, { deny: here, rate: { perSecond: 0.001, burst: 1 } });
        for (let i = 0; i < 2; i++) expect(await served(dial(denying))).toBe(false);
        expect(await served(dial(await limited(core, { allow: elsewhere })))).toBe(false);
        expect(await served(dial(await limited(core, { allow: here, deny: here })))).toBe(false);
        expect(refusals(core)).toEqual({ ...none, refused: 4, refusedDenied: 4 });
      });
    });

    test('rules for IPv4 are for IPv4 clients of a listener for both, too', async () => {
      await withCore({ backend }, async (core) => {
        const { endpoint } = await Listener.listen(core, { port: 0, session: ECHO, deny: list('127.0.0.1') });
        const socket = net.connect({ host: '127.0.0.1', port: endpoint.port });
        socket.on('error', () => {});
        expect(await served(socket)).toBe(false);
        if (endpoint.family === 6) expect(await served(net.connect({ host: '::1', port: endpoint.port }))).toBe(true);
      });
    });
  });

  test('limits that make no sense are refused, and nothing is left of the listener', async () => {
    await withCore({ backend }, async (core) => {
      const wrong: Partial<ListenOptions>[] = [
        { maxSessions: 0 },
        { maxSessions: Number.NaN },
        { maxSessionsPerAddress: 0 },
        { rate: { perSecond: 0 } },
        { rate: { perSecond: 1, burst: 0 } },
        { proxy: { trusted: list(), timeout: 0 } },
      ];
      for (const limits of wrong) await expect(limited(core, limits)).rejects.toThrow(RangeError);
      expect(core.port.stats.sockets).toBe(0);
    });
  });

  test('a core without limits refuses nothing', async () => {
    await withCore({ backend }, async (core) => {
      const listener = await limited(core, {});
      const socket = await peerOf(listener);
      expect(await served(socket)).toBe(true);
      expect(core.stats().total).toMatchObject({ accepted: 1, ...none } satisfies Partial<CoreStats>);
      const ended = once(socket, 'close');
      socket.destroy();
      await ended;
    });
  });
});
