// What a client service promises: as many sessions as asked for, whatever ends them, and pauses that grow while none lives.

import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ClientService, type ClientServiceOptions } from '../src/index.js';
import { withClock } from './clock.js';
import { onEachBackend, withCore } from './support.js';

/** A server of somebody else's code, which can go and come back at the same port. */
async function server(port = 0): Promise<{ port: number; next(): Promise<net.Socket>; close(): void }> {
  const raw = net.createServer((socket) => socket.on('error', () => {}));
  const sockets: net.Socket[] = [];
  raw.on('connection', (socket) => sockets.push(socket));
  raw.listen(port, '127.0.0.1');
  await once(raw, 'listening');
  const close = () => {
    raw.close();
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(close);
  return {
    port: (raw.address() as net.AddressInfo).port,
    next: async () => (await once(raw, 'connection'))[0],
    close,
  };
}

/** What onReconnecting was told, and a way to wait for it. */
function journal() {
  const entries: { error: Error | undefined; delay: number }[] = [];
  let told = () => {};
  const onReconnecting: ClientServiceOptions['onReconnecting'] = (error, delay) => {
    entries.push({ error, delay });
    told();
  };
  const reach = async (count: number) => {
    while (entries.length < count) await new Promise<void>((resolve) => (told = resolve));
  };
  return { entries, onReconnecting, reach };
}

onEachBackend((backend) => {
  describe('a client service', () => {
    test('comes back after a reset, an orderly end and a destroy of our own, and says why', async () => {
      await withCore({ backend }, async (core) => {
        const peer = await server();
        const { entries, onReconnecting, reach } = journal();
        const target = { host: '127.0.0.1', port: peer.port };
        const backOff = { first: 5, most: 10 };
        const service = new ClientService(core, { session: {}, target, backOff, onReconnecting });
        (await peer.next()).resetAndDestroy();
        await reach(1);
        expect(entries[0]!.error).toMatchObject({ code: 'ECONNRESET' });
        (await peer.next()).end().resume();
        await reach(2);
        expect(entries[1]!.error).toBeUndefined();
        const third = peer.next();
        (await third).resume();
        while (service.sessions.size === 0) await new Promise((resolve) => setImmediate(resolve));
        const mine = new Error('mine');
        for (const session of service.sessions) session.destroy(mine);
        await reach(3);
        expect(entries[2]!.error).toBe(mine);
        await peer.next();
      });
    });

    test('keeps as many as asked for, each for itself', async () => {
      await withCore({ backend }, async (core) => {
        const peer = await server();
        const target = { host: '127.0.0.1', port: peer.port };
        const { entries, onReconnecting } = journal();
        let connected = 0;
        let full = () => {};
        const service = new ClientService(core, {
          session: {
            onConnected: () => {
              if (++connected >= 3) full();
            },
          },
          target,
          count: 3,
          backOff: { first: 1, most: 1 },
          onReconnecting,
        });
        await new Promise<void>((resolve) => (full = resolve));
        expect(service.sessions.size).toBe(3);
        const again = new Promise<void>((resolve) => (full = resolve));
        const [one] = service.sessions;
        one!.destroy();
        await again;
        expect(service.sessions.size).toBe(3);
        expect(connected).toBe(4);
        expect(entries).toHaveLength(1);
      });
    });

    test('pauses double up to the longest, less at most a half, and start anew when a session has lived', async () => {
      await withClock(backend, async (core, { pass }) => {
        const peer = await server();
        const { port } = peer;
        const first = peer.next();
        const { entries, onReconnecting, reach } = journal();
        const backOff = { first: 16, most: 64 };
        const target = { host: '127.0.0.1', port };
        const service = new ClientService(core, { session: {}, target, backOff, onReconnecting });
        await first;
        peer.close();
        for (const [i, longest] of [16, 32, 64, 64, 64].entries()) {
          await reach(i + 1);
          const { delay } = entries[i]!;
          expect(delay).toBeLessThanOrEqual(longest);
          expect(delay).toBeGreaterThanOrEqual(longest / 2);
          // It comes when it was said to, and not before. The last one does when there is a server again.
          expect(core.timers.size).toBe(1);
          pass(delay - 1);
          expect(core.timers.size).toBe(1);
          if (i < 4) pass(1);
        }
        expect(entries[1]!.error).toMatchObject({ code: 'ECONNREFUSED' });
        const back = await server(port);
        const next = back.next();
        pass(1);
        const socket = await next;
        while (service.sessions.size === 0) await new Promise((resolve) => setImmediate(resolve));
        // It lives longer than the longest pause.
        pass(65);
        socket.destroy();
        await reach(6);
        expect(entries[5]!.delay).toBeLessThanOrEqual(16);
      });
    });

    test('stopping ends a pause, a connect and a session, and nothing connects after it', async () => {
      await withCore({ backend }, async (core) => {
        const peer = await server();
        const target = { host: '127.0.0.1', port: peer.port };
        const living = new ClientService(core, { session: {}, target });
        const socket = await peer.next();
        while (living.sessions.size === 0) await new Promise((resolve) => setImmediate(resolve));
        const ended = once(socket.resume(), 'close');
        await living.stop();
        await ended;
        const connecting = new ClientService(core, { session: {}, target });
        await connecting.stop();
        peer.close();
        const { onReconnecting, reach } = journal();
        const pausing = new ClientService(core, {
          session: {},
          target,
          onReconnecting,
          backOff: { first: 1e6, most: 1e6 },
        });
        await reach(1);
        expect(core.timers.size).toBe(1);
        await pausing.stop();
        expect(core.timers.size).toBe(0);
        expect([living, connecting, pausing].map(({ sessions }) => sessions.size)).toEqual([0, 0, 0]);
      });
    });

    test('options that make no sense are refused', async () => {
      await withCore({ backend }, async (core) => {
        const options = { session: {}, target: { host: '127.0.0.1', port: 1 } };
        expect(() => new ClientService(core, { ...options, count: 0 })).toThrow(RangeError);
        expect(() => new ClientService(core, { ...options, connectTimeout: 0 })).toThrow(RangeError);
        expect(() => new ClientService(core, { ...options, backOff: { first: 2, most: 1 } })).toThrow(RangeError);
      });
    });
  });
});
