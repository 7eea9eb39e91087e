// Options of sockets and of endings. That the kernel has them is for the tests of the ports to say; here it is that they get
// there, and what linger does.

import { once } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { Connector, Listener } from '../src/index.js';
import { closing, deferred, listen, onEveryBackend, pattern, peerOf, withCore } from './support.js';

onEveryBackend((backend) => {
  const native = backend !== 'portable';
  const options = {
    noDelay: false,
    keepAlive: native ? { idle: 20, interval: 5, count: 3 } : 20,
    ...(native && process.platform === 'linux' && { tos: 0xb8 }),
    ...(native && { sendBufferSize: 65_536, receiveBufferSize: 131_072 }),
  };

  describe('options of sockets', () => {
    test('a listener and a connector hand them to the port', async () => {
      await withCore({ backend }, async (core) => {
        const port = core.port;
        const listening = vi.spyOn(port, 'listen');
        const connecting = vi.spyOn(port, 'connect');
        const listener = await listen(core, { ...options, backlog: 16, session: {} });
        expect(listening.mock.calls[0]![1]).toEqual({ ...options, backlog: 16, detached: false });
        const connector = new Connector(core, { ...options, session: {} });
        await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port });
        expect(connecting.mock.calls[0]![3]).toEqual(options);
      });
    });

    test('a session sets them on its socket, and ignores that after its end', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await listen(core, { session: {} });
        const connecting = vi.spyOn(core.port, 'connect');
        const over = deferred();
        const connector = new Connector(core, { session: { onDisconnected: () => over.resolve() } });
        const session = await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port });
        const socket = connecting.mock.results[0]!.value;
        const setOption = vi.spyOn(socket, 'setOption');
        session.setNoDelay();
        session.setNoDelay(false);
        session.setKeepAlive(30);
        session.destroy();
        await over.promise;
        session.setNoDelay();
        session.setKeepAlive(0);
        expect(setOption.mock.calls).toEqual([
          ['noDelay', true],
          ['noDelay', false],
          ['keepAlive', 30],
        ]);
      });
    });
  });

  describe('linger', () => {
    test('a session that the peer does not let end is reset in time', async () => {
      await withCore({ backend }, async (core) => {
        const over = deferred<Error | undefined>();
        const listener = await listen(core, {
          linger: 0.05,
          session: {
            onConnected: (session) => session.end(pattern(32 << 20)),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        const peer = await peerOf(listener);
        const closed = closing(peer);
        expect(await over.promise).toMatchObject({ code: 'ETIMEDOUT', name: 'IocpError' });
        peer.resume();
        await closed;
        expect(peer.bytesRead).toBeLessThan(32 << 20);
      });
    });

    test('so is one whose peer has ended, and does not take what it is sent', async () => {
      await withCore({ backend }, async (core) => {
        const over = deferred<Error | undefined>();
        const listener = await listen(core, {
          linger: 0.05,
          session: {
            onConnected: (session) => session.send(pattern(32 << 20)),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        const peer = await peerOf(listener, true);
        const closed = closing(peer);
        peer.end();
        expect(await over.promise).toMatchObject({ code: 'ETIMEDOUT' });
        peer.resume();
        await closed;
      });
    });

    test('a session that ends before does so in order', async () => {
      await withCore({ backend }, async (core) => {
        const over = deferred<Error | undefined>();
        const listener = await listen(core, {
          linger: 60,
          session: {
            onConnected: (session) => session.end('all of it'),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        const peer = await peerOf(listener);
        expect(String((await once(peer, 'data'))[0])).toBe('all of it');
        expect(await over.promise).toBeUndefined();
        expect(core.timers.size).toBe(0);
      });
    });

    test('0 resets at once, and less is refused', async () => {
      await withCore({ backend }, async (core) => {
        const over = deferred<Error | undefined>();
        const listener = await listen(core, {
          linger: 0,
          session: {
            onReceive: (session) => session.end('never sent'),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        const peer = await peerOf(listener);
        const failed = closing(peer);
        peer.resume().write('x');
        expect(await over.promise).toBeUndefined();
        await failed;
        expect(peer.bytesRead).toBe(0);
        await expect(Listener.listen(core, { port: 0, linger: -1, session: {} })).rejects.toThrow(RangeError);
      });
    });
  });
});
