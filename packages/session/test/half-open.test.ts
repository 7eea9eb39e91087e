// The peer's end: onEnd, answers that come after it, and sessions that stay open for sending (allowHalfOpen).

import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Connector, fixedLength, framed, type PacketSession, Session, type SessionHandlers } from '../src/index.js';
import { withClock } from './clock.js';
import { deferred, listen, onEachBackend, pattern, peerOf, read, withCore } from './support.js';
import { connect, serve } from './threads.js';

onEachBackend((backend) => {
  const inCore = (use: Parameters<typeof withCore>[1]) => withCore({ backend, threads: 0 }, use);

  describe('by default', () => {
    test('an async handler in progress answers after the end of the peer, and the session then ends in order', async () => {
      await inCore(async (core) => {
        const ended = deferred();
        const over = deferred<Error | undefined>();
        const sent: boolean[] = [];
        const listener = await listen(core, {
          session: {
            async onReceive(session, data) {
              const question = String(data);
              await ended.promise;
              sent.push(session.send(`answer to ${question}`));
            },
            onEnd: () => ended.resolve(),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        const peer = await peerOf(listener, true);
        const end = once(peer, 'end');
        peer.end('request');
        expect(String(await read(peer, 17))).toBe('answer to request');
        await end;
        expect(await over.promise).toBeUndefined();
        expect(sent).toEqual([true]);
      });
    });

    test('so does one of frames, and one that sends more than fits at once', async () => {
      await inCore(async (core) => {
        const ended = deferred();
        const answer = pattern(3_000_000);
        const session = framed(fixedLength(4), {
          async onPacket(session) {
            await ended.promise;
            session.send(answer);
          },
          onEnd: () => ended.resolve(),
        });
        const peer = await peerOf(await listen(core, { session }), true);
        const end = once(peer, 'end');
        peer.end('four');
        expect((await read(peer, answer.length)).equals(answer)).toBe(true);
        await end;
      });
    });

    test('a session without handlers in progress ends at once', async () => {
      await inCore(async (core) => {
        const calls: string[] = [];
        const over = deferred();
        class Told extends Session {
          override onReceive(data: Buffer) {
            calls.push(String(data));
          }
          override onEnd() {
            calls.push(`end, writable: ${this.writable}`);
          }
          override onDisconnected(error?: Error) {
            calls.push(`over, ${error}`);
            over.resolve();
          }
        }
        const peer = await peerOf(await listen(core, { session: Told }));
        peer.end('x');
        await over.promise;
        expect(calls).toEqual(['x', 'end, writable: true', 'over, undefined']);
      });
    });

    test('onEnd comes after what was received while the session was paused', async () => {
      await inCore(async (core) => {
        const calls: string[] = [];
        const opened = deferred<Session>();
        const over = deferred();
        const listener = await listen(core, {
          session: {
            onConnected: (session) => {
              session.pause();
              opened.resolve(session);
            },
            onReceive: (_, data) => calls.push(String(data)),
            onEnd: () => calls.push('end'),
            onDisconnected: () => over.resolve(),
          },
        });
        const peer = await peerOf(listener);
        const session = await opened.promise;
        peer.end('last words');
        for (let i = 0; i < 10; i++) await turn();
        expect(calls).toEqual([]);
        session.resume();
        await over.promise;
        expect(calls).toEqual(['last words', 'end']);
      });
    });

    test('a handler that does not settle holds the session for 10 seconds, and then it is told', async () => {
      await withClock(backend, async (core, hand) => {
        const ended = deferred();
        const over = deferred<Error | undefined>();
        const session: SessionHandlers = {
          onReceive: () => new Promise(() => {}),
          onEnd: () => ended.resolve(),
          onDisconnected: (_, error) => over.resolve(error),
        };
        const listener = await listen(core, { session });
        const peer = await peerOf(listener, true);
        peer.end('x');
        await ended.promise;
        // The wait begins with the flush in which onEnd was called.
        await turn();
        hand.pass(9999);
        await turn();
        expect(listener.sessions.size).toBe(1);
        hand.pass(1);
        expect(await over.promise).toMatchObject({ code: 'ETIMEDOUT', syscall: 'shutdown' });
      });
    });

    test('stop() does not wait for a handler that does not settle', async () => {
      await withClock(backend, async (core) => {
        const ended = deferred();
        const session = { onReceive: () => new Promise(() => {}), onEnd: () => ended.resolve() };
        const listener = await listen(core, { session });
        const peer = await peerOf(listener, true);
        peer.end('x');
        await ended.promise;
        await listener.stop(); // No timer comes due: the time stands still.
      });
    });

    test('the time of linger begins with the end of the peer, and is enough for no handler that takes longer', async () => {
      await withClock(backend, async (core, hand) => {
        const ended = deferred();
        const over = deferred<Error | undefined>();
        const session: SessionHandlers = {
          onReceive: () => new Promise(() => {}),
          onEnd: () => ended.resolve(),
          onDisconnected: (_, error) => over.resolve(error),
        };
        const peer = await peerOf(await listen(core, { session, linger: 2 }), true);
        peer.end('x');
        await ended.promise;
        hand.pass(2000);
        expect(await over.promise).toMatchObject({ code: 'ETIMEDOUT', syscall: 'linger' });
      });
    });

    test('what onEnd throws is a failure of the session', async () => {
      await inCore(async (core) => {
        const over = deferred<Error | undefined>();
        const session: SessionHandlers = {
          onEnd: () => {
            throw new Error('as planned');
          },
          onDisconnected: (_, error) => over.resolve(error),
        };
        const peer = await peerOf(await listen(core, { session }));
        peer.end();
        expect((await over.promise)?.message).toBe('as planned');
        expect(core.stats().total.failed).toBe(1);
      });
    });
  });

  describe('with allowHalfOpen', () => {
    test('the session sends until end() is called', async () => {
      await inCore(async (core) => {
        const ended = deferred<Session>();
        const over = deferred<Error | undefined>();
        const listener = await listen(core, {
          allowHalfOpen: true,
          session: {
            onReceive: (session, data) => session.send(data),
            onEnd: (session) => ended.resolve(session),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        const peer = await peerOf(listener, true);
        const end = once(peer, 'end');
        peer.end('echo');
        expect(String(await read(peer, 4))).toBe('echo');
        const session = await ended.promise;
        for (let i = 0; i < 10; i++) await turn();
        expect(session.writable).toBe(true);
        expect(session.send('and more')).toBe(true);
        expect(String(await read(peer, 8))).toBe('and more');
        session.end('. Bye');
        expect(String(await read(peer, 5))).toBe('. Bye');
        await end;
        expect(await over.promise).toBeUndefined();
      });
    });

    test('a proxy made of two sessions loses nothing, whichever side ends first', async () => {
      await inCore(async (core) => {
        const answer = pattern(2_000_000);
        const upstream = await listen(core, {
          allowHalfOpen: true,
          session: { onEnd: (session) => session.end(answer) },
        });
        const others = new Map<Session, Session>();
        const half: SessionHandlers = {
          onReceive: (session, data) => {
            if (!others.get(session)!.send(data)) session.pause();
          },
          onDrain: (session) => others.get(session)!.resume(),
          onEnd: (session) => others.get(session)!.end(),
          onDisconnected: (session, error) => error && others.get(session)?.destroy(),
        };
        const connector = new Connector(core, { allowHalfOpen: true, session: half });
        const proxy = await listen(core, {
          allowHalfOpen: true,
          session: {
            ...half,
            async onConnected(session) {
              session.pause();
              const to = await connector.connect({ host: '127.0.0.1', port: upstream.endpoint.port });
              others.set(session, to);
              others.set(to, session);
              session.resume();
            },
          },
        });
        const peer = await peerOf(proxy, true);
        const end = once(peer, 'end');
        peer.end(pattern(500_000));
        expect((await read(peer, answer.length)).equals(answer)).toBe(true);
        await end;
      });
    });

    test('linger begins with end(), not with the end of the peer', async () => {
      await withClock(backend, async (core, hand) => {
        const ended = deferred<Session>();
        const listener = await listen(core, {
          allowHalfOpen: true,
          linger: 1,
          session: { onEnd: (session) => ended.resolve(session) },
        });
        const peer = await peerOf(listener, true);
        const end = once(peer.resume(), 'end');
        peer.end();
        const session = await ended.promise;
        hand.pass(5000);
        expect(session.writable).toBe(true);
        session.end();
        await end;
      });
    });

    test('a read timeout does not count after the end of the peer', async () => {
      await withClock(backend, async (core, hand) => {
        const ended = deferred<Session>();
        const listener = await listen(core, {
          allowHalfOpen: true,
          timeouts: { read: 100 },
          session: { onEnd: (session) => ended.resolve(session) },
        });
        const peer = await peerOf(listener, true);
        peer.end();
        const session = await ended.promise;
        hand.pass(1000);
        expect(session.writable).toBe(true);
        session.end();
      });
    });

    test.each(['listener', 'core'] as const)('%s.stop() ends it', async (which) => {
      await inCore(async (core) => {
        const ended = deferred();
        const over = deferred<Error | undefined>();
        const listener = await listen(core, {
          allowHalfOpen: true,
          session: { onEnd: () => ended.resolve(), onDisconnected: (_, error) => over.resolve(error) },
        });
        const peer = await peerOf(listener, true);
        const end = once(peer.resume(), 'end');
        peer.end();
        await ended.promise;
        await (which === 'core' ? core : listener).stop(60_000);
        await end;
        expect(await over.promise).toBeUndefined();
      });
    });

    test('a peer that ends in the middle of a frame has not ended in order', async () => {
      await inCore(async (core) => {
        const calls: string[] = [];
        const over = deferred<Error | undefined>();
        const session = framed(fixedLength(4), {
          onEnd: () => calls.push('end'),
          onDisconnected: (_, error) => over.resolve(error),
        });
        const peer = await peerOf(await listen(core, { session, allowHalfOpen: true }));
        peer.end('abc');
        expect(await over.promise).toMatchObject({ code: 'EPROTO' });
        expect(calls).toEqual([]);
      });
    });
  });

  test('the sessions of a module may be half-open, too', async () => {
    const module = new URL('./modules/half-open.js', import.meta.url);
    const { port } = await serve({ backend }, { module, allowHalfOpen: true });
    const [client] = await connect(port, 1);
    client!.socket.end('x');
    expect(String((await once(client!.socket, 'data'))[0])).toBe('bye');
    await client!.closed;
  });

  test('end() sends the FIN though the session is paused and holds bytes', async () => {
    await inCore(async (core) => {
      const opened = deferred<PacketSession>();
      const frames: string[] = [];
      const over = deferred<Error | undefined>();
      const session = framed(fixedLength(1), {
        onPacket: (session, frame) => {
          frames.push(String(frame));
          if (frames.length > 1) return;
          session.pause();
          opened.resolve(session);
        },
        onDisconnected: (_, error) => over.resolve(error),
      });
      const peer = await peerOf(await listen(core, { session }), true);
      const end = once(peer.resume(), 'end');
      peer.write('ab');
      const paused = await opened.promise;
      paused.end();
      await end;
      expect(frames).toEqual(['a']);
      peer.end();
      paused.resume();
      expect(await over.promise).toBeUndefined();
      expect(frames).toEqual(['a', 'b']);
    });
  });
});
