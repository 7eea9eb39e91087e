// How a session ends: in order, by the peer, or cut off.

import { once } from 'node:events';
import { expect, test } from 'vitest';
import type { Session } from '../src/index.js';
import { deferred, listen, onEveryBackend, pattern, peerOf, read, withCore } from './support.js';

onEveryBackend((backend) => {
  test('end() flushes, half-closes, and still receives until the peer ends', async () => {
    await withCore({ backend }, async (core) => {
      const over = deferred<Error | undefined>();
      const received: string[] = [];
      const listener = await listen(core, {
        session: {
          onConnected: (session) => session.end('the end'),
          onReceive: (_, data) => received.push(data.toString()),
          onDisconnected: (_, error) => over.resolve(error),
        },
      });
      const peer = await peerOf(listener, true);
      const ended = once(peer, 'end');
      expect((await read(peer, 7)).toString()).toBe('the end');
      await ended;
      peer.end('one more thing');
      expect(await over.promise).toBeUndefined();
      expect(received.join('')).toBe('one more thing');
    });
  });

  test('when the peer ends, what is queued is flushed before the session closes', async () => {
    await withCore({ backend }, async (core) => {
      const data = pattern(3_000_000);
      const listener = await listen(core, { session: { onReceive: (session) => session.send(data) } });
      const peer = await peerOf(listener);
      const ended = once(peer, 'end');
      peer.end('x');
      expect((await read(peer, data.length)).equals(data)).toBe(true);
      await ended;
    });
  });

  test("what came while paused is delivered before the peer's end is", async () => {
    await withCore({ backend }, async (core) => {
      const events: string[] = [];
      const over = deferred();
      const opened = deferred<Session>();
      const listener = await listen(core, {
        session: {
          onConnected: (session) => {
            session.pause();
            opened.resolve(session);
          },
          onReceive: (_, data) => events.push(data.toString()),
          onDisconnected: () => {
            events.push('disconnected');
            over.resolve();
          },
        },
      });
      const peer = await peerOf(listener);
      peer.end('last words');
      (await opened.promise).resume();
      await over.promise;
      expect(events).toEqual(['last words', 'disconnected']);
    });
  });

  test('destroy() resets, and its error is the one that onDisconnected gets', async () => {
    await withCore({ backend }, async (core) => {
      const reason = new Error('enough');
      const over = deferred<Error | undefined>();
      const listener = await listen(core, {
        session: {
          onReceive: (session) => session.destroy(reason),
          onDisconnected: (_, error) => over.resolve(error),
        },
      });
      const peer = await peerOf(listener);
      const failed = once(peer.resume(), 'error');
      peer.write('x');
      expect(await over.promise).toBe(reason);
      expect((await failed)[0].code).toBe('ECONNRESET');
    });
  });

  test('a peer that resets gives ECONNRESET', async () => {
    await withCore({ backend }, async (core) => {
      const over = deferred<Error | undefined>();
      const greeted = deferred();
      const listener = await listen(core, {
        session: { onReceive: () => greeted.resolve(), onDisconnected: (_, error) => over.resolve(error) },
      });
      const peer = await peerOf(listener);
      peer.write('x');
      await greeted.promise;
      peer.resetAndDestroy();
      expect(await over.promise).toMatchObject({ name: 'IocpError', code: 'ECONNRESET' });
    });
  });
});
