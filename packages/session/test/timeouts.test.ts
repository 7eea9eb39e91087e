// Timeouts: which one ends a session, when, what its error says, and what must not end it. The time is in the hand of the
// test; it passes while nothing is under way.

import type net from 'node:net';
import type { IocpCore } from '@overlapped/net-core';
import { describe, expect, test } from 'vitest';
import { Connector, framed, lines, type Session, type SessionHandlers, type Timeouts } from '../src/index.js';
import { kReceives } from '../src/session/symbols.js';
import { type Hand, withClock } from './clock.js';
import { closing, deferred, listen, onEachBackend, pattern, peerOf, read, withCore } from './support.js';

interface Scene extends Hand {
  readonly peer: net.Socket;
  readonly session: Session;
  readonly core: IocpCore;
}

/** More than the kernel takes for a peer that does not read. */
const MUCH = 24_000_000;

const turn = () => new Promise((resolve) => setImmediate(resolve));

onEachBackend((backend) => {
  /** Runs a session with timeouts and its peer; gives the error that ends the session. */
  async function end(
    timeouts: Timeouts,
    handlers: SessionHandlers,
    act: (scene: Scene) => unknown,
  ): Promise<Error | undefined> {
    let error: Error | undefined;
    await withClock(backend, async (core, hand) => {
      const opened = deferred<Session>();
      const over = deferred<Error | undefined>();
      const session: SessionHandlers = {
        onReceive: () => {},
        ...handlers,
        onConnected: (opening) => {
          opened.resolve(opening);
          return handlers.onConnected?.(opening);
        },
        onDisconnected: (_, why) => over.resolve(why),
      };
      const listener = await listen(core, { session, timeouts });
      const peer = await peerOf(listener, true);
      await act({ peer, session: await opened.promise, core, ...hand });
      error = await over.promise;
      expect(core.stats().total.timedOut).toBe((error as { code?: string })?.code === 'ETIMEDOUT' ? 1 : 0);
      expect(core.timers.size).toBe(0);
      peer.destroy();
    });
    return error;
  }

  /** Has a peer say something, and waits until its session has heard it. */
  async function say(peer: net.Socket, session: Session): Promise<void> {
    const before = session.bytesReceived;
    peer.write('x');
    while (session.writable && session.bytesReceived === before) await turn();
  }

  describe('timeouts', () => {
    test('silence from the start ends a session, and its peer is reset', async () => {
      let closed!: Promise<void>;
      const error = await end({ firstByte: 20 }, {}, async ({ peer, session, core, pass }) => {
        closed = closing(peer.resume());
        pass(20);
        await turn();
        expect(session.writable).toBe(true);
        expect(core.stats().total.timedOut).toBe(0);
        // Late by a quarter at most.
        pass(5);
        expect(core.stats().total.timedOut).toBe(1);
      });
      expect(error).toMatchObject({ name: 'IocpError', code: 'ETIMEDOUT', syscall: 'receive' });
      expect(error!.message).toContain('Cannot keep the connection: nothing was received in the first 20 ms');
      await closed;
    });

    test('the first byte is all that its timeout wants', async () => {
      const error = await end({ firstByte: 20 }, {}, async ({ peer, session, pass }) => {
        await say(peer, session);
        pass(1000);
        expect(session.writable).toBe(true);
        peer.end();
      });
      expect(error).toBeUndefined();
    });

    test('silence later ends a session, whatever is sent to the peer meanwhile', async () => {
      let minutes = 0;
      const error = await end({ read: 60_000 }, {}, async ({ peer, session, pass }) => {
        await say(peer, session);
        for (; session.writable && minutes < 10; minutes++) {
          session.send('are you there?');
          await read(peer, 14);
          while (session.bytesQueued > 0) await turn();
          pass(60_000);
        }
      });
      expect(minutes).toBe(2);
      expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'receive' });
      expect(error!.message).toContain('nothing was received for 60000 ms');
    });

    test('a peer that says something now and then stays', async () => {
      const error = await end({ read: 200 }, {}, async ({ peer, session, pass }) => {
        for (let i = 0; i < 10; i++) {
          await say(peer, session);
          pass(200);
        }
        expect(session.writable).toBe(true);
        peer.end();
      });
      expect(error).toBeUndefined();
    });

    test('what a peer said while the thread was held up is heard before its silence counts', async () => {
      const error = await end({ read: 200 }, {}, async ({ peer, session, core, pass, holdUp }) => {
        await say(peer, session);
        pass(100);
        const before = session.bytesReceived;
        peer.write('x');
        holdUp(60_000);
        pass(25);
        expect(core.stats().total.timedOut).toBe(0);
        while (session.bytesReceived === before) await turn();
        pass(200);
        expect(session.writable).toBe(true);
        peer.end();
      });
      expect(error).toBeUndefined();
    });

    test('the first byte may come late when nothing was to be received until then', async () => {
      const handlers = { onConnected: (session: Session) => session.pause() };
      const error = await end({ firstByte: 100 }, handlers, async ({ peer, session, pass }) => {
        pass(1000);
        session.resume();
        pass(100);
        expect(session.writable).toBe(true);
        peer.end('x');
      });
      expect(error).toBeUndefined();
    });

    test('the read timeout leaves a session alone that is paused, and counts from resume()', async () => {
      const handlers = { onConnected: (session: Session) => session.pause() };
      const error = await end({ read: 20 }, handlers, async ({ session, core, pass }) => {
        pass(1000);
        expect(session.writable).toBe(true);
        session.resume();
        pass(20);
        expect(core.stats().total.timedOut).toBe(0);
        pass(5);
      });
      expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'receive' });
    });

    test('the read timeout leaves a session alone whose peer has ended, and still reads', async () => {
      const error = await end(
        { read: 30, write: 30_000 },
        { onReceive: (session) => session.send(pattern(MUCH)) },
        async ({ peer, session, pass }) => {
          peer.end('x');
          while (session[kReceives]) await turn();
          pass(1000);
          // Nothing was read until now, so most of it still waits.
          await read(peer, MUCH);
          peer.resume();
        },
      );
      expect(error).toBeUndefined();
    });

    test('a peer that does not read what waits for it ends a session', async () => {
      const error = await end({ write: 50 }, {}, async ({ session, pass }) => {
        session.send(pattern(MUCH));
        while (session.writable) {
          await turn();
          pass(10);
        }
      });
      expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'send' });
      expect(error!.message).toContain('nothing that waits could be sent for 50 ms');
    });

    test('a peer that reads slowly, or has nothing to read, stays', async () => {
      const error = await end({ write: 60_000 }, {}, async ({ peer, session, pass }) => {
        session.send(pattern(MUCH));
        let left = MUCH;
        peer.on('data', (data) => {
          left -= data.length;
        });
        // Each minute it reads until the kernel has taken something.
        for (; left > 0; pass(60_000)) {
          const { bytesSent } = session;
          const before = left;
          peer.resume();
          do await turn();
          while (left === before || (left > 0 && session.bytesQueued > 0 && session.bytesSent === bytesSent));
          peer.pause();
        }
        while (session.bytesQueued > 0) await turn();
        pass(600_000);
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
      await withClock(backend, async (core, { pass }) => {
        const over = deferred<Error | undefined>();
        const listener = await listen(core, { session: {} });
        const connector = new Connector(core, {
          session: { onDisconnected: (_, error) => over.resolve(error) },
          timeouts: { read: 20 },
        });
        await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port });
        pass(25);
        expect(await over.promise).toMatchObject({ code: 'ETIMEDOUT' });
      });
    });

    test('more sessions than one turn looks at cost one timer, and all time out', async () => {
      await withClock(backend, async (core, { pass }) => {
        const count = 2100;
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
        while (listener.sessions.size < count) await turn();
        expect(core.timers.size).toBe(1);
        pass(2500);
        await all.promise;
        expect(core.stats().total.timedOut).toBe(count);
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
