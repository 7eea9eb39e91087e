// What a listener and a connector promise: accepting goes on whatever happens, and stopping leaves nothing behind.

import { once } from 'node:events';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { text } from 'node:stream/consumers';
import { IocpError } from '@overlapped/iocp-native';
import { createSimulation } from '@overlapped/iocp-native/testing';
import { Core, onCompletion } from '@overlapped/net-core/internal';
import { describe, expect, test } from 'vitest';
import { Connector, Listener, Session } from '../src/index.js';
import { closing, deferred, dial, listen, onEveryBackend, pattern, peerOf, read, withCore } from './support.js';

const hasIPv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

class Echo extends Session {
  override onReceive(data: Buffer) {
    if (!this.send(data)) this.pause();
  }
  override onDrain() {
    this.resume();
  }
}

onEveryBackend((backend) => {
  describe('listening', () => {
    test('a port in use is an IocpError that names the call', async () => {
      await withCore({ backend }, async (core) => {
        const { endpoint } = await listen(core, { session: Echo });
        const again = Listener.listen(core, { host: '127.0.0.1', port: endpoint.port, session: Echo });
        await expect(again).rejects.toMatchObject({ name: 'IocpError', code: 'EADDRINUSE' });
        await expect(again).rejects.toThrow(`Cannot listen on 127.0.0.1:${endpoint.port}`);
      });
    });

    test('sessions find their events, however many listeners there are', async () => {
      await withCore({ backend, maxSessions: 2 }, async (core) => {
        const listeners: Listener[] = [];
        const refused = await (async () => {
          for (;;) listeners.push(await listen(core, { session: Echo }));
        })().catch((error) => error);
        expect(refused).toMatchObject({ name: 'IocpError', code: 'ENOBUFS' });
        expect(listeners.length).toBeGreaterThan(150);
        expect(listeners.length).toBeGreaterThan(4);
        for (const listener of [listeners[0]!, listeners.at(-1)!]) {
          const peer = await peerOf(listener);
          peer.write('served');
          expect((await read(peer, 6)).toString()).toBe('served');
        }
        await listeners[1]!.stop();
        listeners.push(await listen(core, { session: Echo }));
      });
    });

    test('a bad port or name is refused, and nothing is left of it', async () => {
      await withCore({ backend }, async (core) => {
        await expect(Listener.listen(core, { port: 70_000, session: Echo })).rejects.toMatchObject({
          code: 'ERR_OUT_OF_RANGE',
        });
        await expect(
          Listener.listen(core, { port: 0, session: Echo, highWatermark: 1, lowWatermark: 2 }),
        ).rejects.toThrow(RangeError);
      });
    });

    test('without a host it serves IPv4 and, where there is one, IPv6', async () => {
      await withCore({ backend }, async (core) => {
        const { endpoint } = await Listener.listen(core, { port: 0, session: Echo });
        for (const host of endpoint.family === 6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
          const peer = net.connect({ host, port: endpoint.port });
          peer.write('hello');
          expect((await read(peer, 5)).toString()).toBe('hello');
          peer.destroy();
        }
      });
    });

    // Not on a machine without IPv6.
    test.runIf(hasIPv6)('with ipv6Only it serves IPv6, and another listener IPv4 on the same port', async () => {
      await withCore({ backend }, async (core) => {
        const says = (answer: string) => ({ onConnected: (session: Session) => void session.end(answer) });
        const six = await Listener.listen(core, { host: '::', port: 0, ipv6Only: true, session: says('six') });
        const { port } = six.endpoint;
        await Listener.listen(core, { host: '0.0.0.0', port, session: says('four') });
        for (const [host, answer] of [
          ['::1', 'six'],
          ['127.0.0.1', 'four'],
        ]) {
          expect(await text(net.connect({ host: host!, port }))).toBe(answer);
        }
      });
    });

    test('more connections at once than accepts outstanding are all served', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await listen(core, { session: Echo });
        const peers = await Promise.all(Array.from({ length: 300 }, () => peerOf(listener)));
        await Promise.all(
          peers.map(async (peer, i) => {
            peer.write(`number ${i}`.padEnd(20));
            expect((await read(peer, 20)).toString().trimEnd()).toBe(`number ${i}`);
            peer.destroy();
          }),
        );
        expect(listener.stats).toEqual({ accepted: 300, failed: 0, refused: 0 });
      });
    });

    test('beyond maxSessions a connection is reset, and served again when there is room', async () => {
      await withCore({ backend, maxSessions: 2 }, async (core) => {
        const left = deferred();
        const listener = await listen(core, {
          session: { onReceive: (session, data) => session.send(data), onDisconnected: () => left.resolve() },
        });
        const peers = [await peerOf(listener), await peerOf(listener)] as const;
        for (const peer of peers) {
          peer.write('x');
          await read(peer, 1);
        }
        await closing(dial(listener).resume());
        expect(listener.stats.refused).toBe(1);
        peers[0].destroy();
        await left.promise;
        const next = dial(listener);
        next.write('y');
        expect((await read(next, 1)).toString()).toBe('y');
      });
    });

    test('peers that never read cost a bounded amount, and starve nobody', async () => {
      await withCore({ backend }, async (core) => {
        const stalled = deferred();
        let congested = 0;
        class Stalling extends Echo {
          override onReceive(data: Buffer) {
            if (this.send(data)) return;
            this.pause();
            if (++congested === 200) stalled.resolve();
          }
        }
        // Where the kernel can be told to, it takes little of what they do not read.
        const small = backend === 'portable' ? {} : { sendBufferSize: 65_536 };
        const listener = await listen(core, { session: Stalling, highWatermark: 65_536, ...small });
        const data = pattern(16_000_000);
        const deaf = await Promise.all(Array.from({ length: 200 }, () => peerOf(listener)));
        for (const peer of deaf) peer.write(data);
        await stalled.promise;
        const peer = await peerOf(listener);
        for (let i = 0; i < 20; i++) {
          peer.write('still served');
          expect((await read(peer, 12)).toString()).toBe('still served');
        }
        for (const session of listener.sessions) expect(session.bytesQueued).toBeLessThan(65_536 + 2_000_000);
        for (const socket of deaf) socket.destroy();
        peer.destroy();
      });
    }, 120_000);
  });

  describe('stopping', () => {
    test('a listener that stops refuses new connections and ends its sessions', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await listen(core, { session: Echo });
        const peer = await peerOf(listener);
        peer.write('x');
        await read(peer, 1);
        const ended = once(peer.resume(), 'end');
        await listener.stop();
        await ended;
        expect(listener.sessions.size).toBe(0);
        const [error] = await once(dial(listener), 'error');
        expect(error.code).toBe('ECONNREFUSED');
      });
    });

    test('a session whose peer does not end is destroyed when the grace is over', async () => {
      await withCore({ backend }, async (core) => {
        const over = deferred();
        const listener = await listen(core, { session: { onDisconnected: () => over.resolve() } });
        await peerOf(listener, true);
        await listener.stop(20);
        await over.promise;
      });
    });

    test('the core stops with sessions in the middle of traffic, and every slot comes back', async () => {
      const core = new Core({ backend });
      const listener = await listen(core, { session: Echo });
      const peers = await Promise.all(Array.from({ length: 20 }, () => peerOf(listener)));
      for (const peer of peers) peer.write(pattern(2_000_000));
      await Promise.all(peers.map((peer) => read(peer, 1000)));
      const closed = peers.map((peer) => closing(peer));
      await core.stop(20);
      for (const peer of peers) peer.destroy();
      await Promise.all(closed);
      expect(core.events.out).toBe(0);
      expect(core.sendBuffers.out).toBe(0);
      expect(core.port.stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0, dropped: 0 });
    });

    test('`await using` stops', async () => {
      const core = new Core({ backend });
      await core[Symbol.asyncDispose]();
      expect(() => core.post({ onPost() {} }, 1)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    });
  });

  describe('connecting', () => {
    test('a connector makes sessions of the same kinds', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await listen(core, { session: Echo });
        const got = deferred<string>();
        const connector = new Connector(core, { session: { onReceive: (_, data) => got.resolve(data.toString()) } });
        const session = await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port });
        expect(session.remote).toEqual(listener.endpoint);
        expect(connector.sessions.has(session)).toBe(true);
        session.send('ping');
        expect(await got.promise).toBe('ping');
      });
    });

    test('a core connects as often at once as it has room for sessions, and no more', async () => {
      await withCore({ backend, maxSessions: 4 }, async (core) => {
        const server = net.createServer((raw) => raw.on('error', () => {})).listen(0, '127.0.0.1');
        await once(server, 'listening');
        const { port } = server.address() as net.AddressInfo;
        const connector = new Connector(core, { session: Echo });
        const connect = () => connector.connect({ host: '127.0.0.1', port });
        const results = await Promise.allSettled(Array.from({ length: 6 }, connect));
        expect(results.map(({ status }) => status).sort()).toEqual([
          ...Array(4).fill('fulfilled'),
          ...Array(2).fill('rejected'),
        ]);
        const refused = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason.code);
        expect(refused).toEqual(['ENOBUFS', 'ENOBUFS']);
        expect(connector.sessions.size).toBe(4);
        for (const session of connector.sessions) session.destroy();
        server.close();
      });
    });

    test('a refused connect rejects, and nothing is left of it', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await listen(core, { session: Echo });
        await listener.stop();
        const connector = new Connector(core, { session: Echo });
        const { port } = listener.endpoint;
        await expect(connector.connect({ host: '127.0.0.1', port })).rejects.toMatchObject({
          code: 'ECONNREFUSED',
          message: expect.stringContaining(`Cannot connect to 127.0.0.1:${port}`),
        });
        expect(core.port.stats.sockets).toBe(0);
      });
    });

    test('stopping cancels what is connecting', async () => {
      await withCore({ backend }, async (core) => {
        const connector = new Connector(core, { session: Echo });
        await connector.stop();
        await expect(connector.connect({ host: '127.0.0.1', port: 1 })).rejects.toMatchObject({ code: 'ECANCELED' });
      });
    });

    test('64 MiB both ways at once through an echo, byte for byte', async () => {
      await withCore({ backend }, async (core) => {
        const total = 1 << 26;
        const chunk = pattern(251 * 1024);
        const listener = await listen(core, { session: Echo });
        const done = deferred();
        let sent = 0;
        let wrong = 0;
        class Client extends Session {
          override onConnected() {
            this.fill();
          }
          override onDrain() {
            this.fill();
          }
          override onReceive(data: Buffer) {
            const at = (this.bytesReceived - data.length) % 251;
            if (data.compare(chunk, at, at + data.length) !== 0) wrong++;
            if (this.bytesReceived === total) {
              this.end();
              done.resolve();
            }
          }
          fill() {
            while (sent < total) {
              const length = Math.min(chunk.length, total - sent);
              sent += length;
              if (!this.send(chunk.subarray(0, length))) return;
            }
          }
        }
        const connector = new Connector(core, { session: Client });
        await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port });
        await done.promise;
        expect(wrong).toBe(0);
      });
    }, 120_000);
  });
});

test('thousands of connects at once find their events', async () => {
  const system = createSimulation({ seed: 1 });
  const core = new Core({ system });
  const server = system.listen();
  const connector = new Connector(core, { session: Echo });
  const { address: host, port } = server.endpoint;
  const connects = Promise.all(Array.from({ length: 3000 }, () => connector.connect({ host, port })));
  await Promise.all([connects, system.run()]);
  expect(connector.sessions.size).toBe(3000);
  for (const session of connector.sessions) session.destroy();
  await Promise.all([core.stop(), system.run()]);
});

test('accepts that fail one after the other wait, and go on later; peers that have gone make nobody wait', async () => {
  for (const [code, least, most] of [
    ['ENETDOWN', 8, 30],
    ['ECONNABORTED', 10_000, 10_001],
  ] as const) {
    const system = createSimulation({ seed: 1 });
    const core = new Core({ system });
    const listening = listen(core, { session: Echo });
    await system.run(0);
    const listener = await listening;
    const { port } = core;
    const accept = port.accept.bind(port);
    let accepts = 0;
    port.accept = (socket, event) => {
      accept(socket, event);
      if (++accepts <= 10_000) port.cancel(socket, event);
    };
    const inner = listener[onCompletion].bind(listener);
    listener[onCompletion] = (packet) => {
      if (packet.error !== null) packet.error = new IocpError('accept', 'the test says so', code, 'accept');
      inner(packet);
    };
    // The first connection takes one of the accepts that were there before.
    system.connect(listener.endpoint);
    await system.run(1000);
    expect(listener.stats.accepted).toBe(1);
    expect(accepts).toBeGreaterThanOrEqual(least);
    expect(accepts).toBeLessThanOrEqual(most);
    port.accept = accept;
    await system.run(200);
    for (let i = 0; i < 300; i++) system.connect(listener.endpoint);
    await system.run(200);
    expect(listener.stats.accepted).toBe(301);
    await Promise.all([core.stop(), system.run()]);
  }
});
