// Timeouts: which one ends a session, what its error says, and what must not end it. Nothing here measures a time; a timeout
// that must not come is far away, or shorter than what the test waits for.

import type net from 'node:net';
import { describe, expect, test } from 'vitest';
import { Connector, framed, lines, type Session, type SessionHandlers, type Timeouts } from '../src/index.js';
import { closing, deferred, listen, onEachBackend, pattern, peerOf, read, withCore } from './support.js';

onEachBackend((backend) => {
  /** Runs a session with timeouts and its peer; gives the error that ends the session. */
  async function end(
    timeouts: Timeouts,
    handlers: SessionHandlers,
    act: (peer: net.Socket, session: Session) => unknown,
  ): Promise<Error | undefined> {
    let error: Error | undefined;
    await withCore({ backend }, async (core) => {
      const opened = deferred<Session>();
      const over = deferred<Error | undefined>();
      const session: SessionHandlers = {
        ...handlers,
        onConnected: (opening) => {
          opened.resolve(opening);
          return handlers.onConnected?.(opening);
        },
        onDisconnected: (_, why) => over.resolve(why),
      };
      const listener = await listen(core, { session, timeouts });
      const peer = await peerOf(listener, true);
      await act(peer, await opened.promise);
      error = await over.promise;
      expect(core.figures().total.timedOut).toBe((error as { code?: string })?.code === 'ETIMEDOUT' ? 1 : 0);
      expect(core.timers.size).toBe(0);
      peer.destroy();
    });
    return error;
  }

  /** Waits for longer than the shorter timeouts of these tests, and their sweeps. */
  const longer = () => new Promise((resolve) => setTimeout(resolve, 120));

  describe('timeouts', () => {
    test('silence from the start ends a session, and its peer is reset', async () => {
      let closed!: Promise<void>;
      const error = await end({ firstByte: 20 }, {}, (peer) => {
        closed = closing(peer.resume());
      });
      expect(error).toMatchObject({ name: 'IocpError', code: 'ETIMEDOUT', syscall: 'receive' });
      expect(error!.message).toContain('Cannot keep the connection: nothing was received in the first 20 ms');
      await closed;
    });

    test('the first byte is all that its timeout wants', async () => {
      const error = await end({ firstByte: 20 }, {}, async (peer, session) => {
        peer.write('x');
        await longer();
        expect(session.writable).toBe(true);
        peer.end();
      });
      expect(error).toBeUndefined();
    });

    test('silence later ends a session, whatever is sent to the peer meanwhile', async () => {
      let sending: NodeJS.Timeout | undefined;
      const error = await end({ read: 50 }, {}, (peer, session) => {
        peer.write('x');
        peer.resume();
        sending = setInterval(() => session.send('are you there?'), 5);
      });
      clearInterval(sending);
      expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'receive' });
      expect(error!.message).toContain('nothing was received for 50 ms');
    });

    test('a peer that says something now and then stays', async () => {
      const error = await end({ read: 200 }, {}, async (peer, session) => {
        for (let i = 0; i < 30; i++) {
          peer.write('x');
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        expect(session.writable).toBe(true);
        peer.end();
      });
      expect(error).toBeUndefined();
    });

    test('the first byte may come late when nothing was to be received until then', async () => {
      const handlers = { onConnected: (session: Session) => session.pause() };
      const error = await end({ firstByte: 100 }, handlers, async (peer, session) => {
        await longer();
        session.resume();
        await new Promise((resolve) => setTimeout(resolve, 20));
        expect(session.writable).toBe(true);
        peer.end('x');
      });
      expect(error).toBeUndefined();
    });

    test('the read timeout leaves a session alone that is paused, and counts from resume()', async () => {
      const error = await end({ read: 20 }, { onConnected: (session) => session.pause() }, async (_, session) => {
        await longer();
        expect(session.writable).toBe(true);
        session.resume();
      });
      expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'receive' });
    });

    test('the read timeout leaves a session alone whose peer has ended, and still reads', async () => {
      const bytes = 8_000_000;
      const error = await end(
        { read: 30, write: 30_000 },
        { onReceive: (session) => session.send(pattern(bytes)) },
        async (peer) => {
          peer.end('x');
          await longer();
          // Nothing was read until now, so most of it still waits.
          await read(peer, bytes);
          peer.resume();
        },
      );
      expect(error).toBeUndefined();
    });

    test('a peer that does not read what waits for it ends a session', async () => {
      const error = await end({ write: 50 }, {}, (_, session) => session.send(pattern(8_000_000)));
      expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'send' });
      expect(error!.message).toContain('nothing that waits could be sent for 50 ms');
    });

    test('a peer that reads slowly, or has nothing to read, stays', async () => {
      const error = await end({ write: 600 }, {}, async (peer, session) => {
        session.send(pattern(24_000_000));
        // All of it takes longer than the timeout, and each step is far shorter.
        for (let i = 0; i < 20; i++) {
          await read(peer, 1_000_000);
          peer.pause();
          await new Promise((resolve) => setTimeout(resolve, 35));
          peer.resume();
        }
        while (session.bytesQueued > 0) await new Promise((resolve) => setImmediate(resolve));
        await longer();
        expect(session.writable).toBe(true);
        peer.end();
      });
      expect(error).toBeUndefined();
    });

    test('a frame that comes byte by byte has a time in which it must be whole', async () => {
      await withCore({ backend }, async (core) => {
        const over = deferred<Error | undefined>();
        const session = framed(lines(), { onDisconnected: (_, error) => over.resolve(error) });
        const peer = await peerOf(await listen(core, { session, timeouts: { read: 30_000, frame: 50 } }), true);
        peer.write('whole\n');
        const dribble = setInterval(() => peer.write('x'), 5);
        const error = await over.promise;
        clearInterval(dribble);
        expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'receive' });
        expect(error!.message).toContain('a frame was not whole within 50 ms');
      });
    });

    test('a connector has them, too', async () => {
      await withCore({ backend }, async (core) => {
        const over = deferred<Error | undefined>();
        const listener = await listen(core, { session: {} });
        const connector = new Connector(core, {
          session: { onDisconnected: (_, error) => over.resolve(error) },
          timeouts: { read: 20 },
        });
        await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port });
        expect(await over.promise).toMatchObject({ code: 'ETIMEDOUT' });
      });
    });

    test('more sessions than one turn looks at cost one timer, and all time out', async () => {
      await withCore({ backend }, async (core) => {
        const count = 2500;
        let over = 0;
        const all = deferred();
        const listener = await listen(core, {
          session: {
            onDisconnected: (_, error) => {
              if ((error as { code?: string })?.code === 'ETIMEDOUT' && ++over === count) all.resolve();
            },
          },
          timeouts: { firstByte: 2000 },
        });
        const connector = new Connector(core, { session: {} });
        const target = { host: '127.0.0.1', port: listener.endpoint.port };
        for (let i = 0; i < count; i += 100) {
          await Promise.all(Array.from({ length: 100 }, () => connector.connect(target)));
        }
        expect(core.timers.size).toBe(1);
        await all.promise;
        expect(core.figures().total.timedOut).toBe(count);
      });
    }, 120_000);

    test('a timeout that is not above 0 is refused', async () => {
      await withCore({ backend }, async (core) => {
        for (const timeouts of [{ read: 0 }, { write: -1 }, { firstByte: Number.NaN }, { frame: 0 }]) {
          await expect(listen(core, { session: {}, timeouts })).rejects.toThrow(RangeError);
        }
      });
    });
  });

  test('sessions without timeouts set no timer', async () => {
    await withCore({ backend }, async (core) => {
      const listener = await listen(core, { session: {} });
      await peerOf(listener);
      while (listener.sessions.size === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(core.timers.size).toBe(0);
    });
  });
});
