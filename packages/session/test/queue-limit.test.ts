// What becomes of a send() beyond the queue's limits: the session closes, the message is dropped, or the sender's source is
// held back.

import { describe, expect, test } from 'vitest';
import { broadcast, type Session } from '../src/index.js';
import { closing, deferred, listen, onEachBackend, pattern, peerOf, read, withCore } from './support.js';

/** More than the kernel takes for a peer that does not read. */
const MUCH = pattern(1_000_000);

onEachBackend((backend) => {
  describe('beyond the limit', () => {
    test('by default a session closes with ENOBUFS', async () => {
      await withCore({ backend }, async (core) => {
        const over = deferred<Error | undefined>();
        const answers: boolean[] = [];
        const listener = await listen(core, {
          session: {
            onReceive: (session) => {
              while (session.writable) answers.push(session.send(MUCH));
            },
            onDisconnected: (_, error) => over.resolve(error),
          },
          queueLimit: { perSession: 2_500_000 },
        });
        const peer = await peerOf(listener);
        const closed = closing(peer);
        peer.write('x');
        expect(await over.promise).toMatchObject({ name: 'IocpError', code: 'ENOBUFS', syscall: 'send' });
        // All are above the high watermark, and the third is beyond the limit.
        expect(answers).toEqual([false, false, false]);
        expect(core.stats().total).toMatchObject({ overflowed: 1, droppedMessages: 0, bytesQueued: 0 });
        peer.resume();
        await closed;
      });
    });

    test('a message is dropped and counted, later ones that fit are sent, and onDrain follows', async () => {
      await withCore({ backend }, async (core) => {
        const drained = deferred();
        const answers: boolean[] = [];
        const listener = await listen(core, {
          session: {
            onReceive: (session) => {
              answers.push(session.send('a'.repeat(90)), session.send('b'.repeat(20)), session.send('c'.repeat(10)));
            },
            onDrain: () => drained.resolve(),
          },
          queueLimit: { perSession: 100, beyond: 'drop' },
        });
        const peer = await peerOf(listener);
        peer.write('x');
        expect((await read(peer, 100)).toString()).toBe('a'.repeat(90) + 'c'.repeat(10));
        await drained.promise;
        expect(answers).toEqual([true, false, true]);
        expect(core.stats().total).toMatchObject({ overflowed: 0, droppedMessages: 1 });
      });
    });

    test('onDrain follows a drop even when nothing waits, so that who paused goes on', async () => {
      await withCore({ backend }, async (core) => {
        const listener = await listen(core, {
          session: {
            onReceive: (session, data) => {
              if (!session.send(data)) session.pause();
            },
            onDrain: (session) => session.resume(),
          },
          queueLimit: { perSession: 10, beyond: 'drop' },
        });
        const peer = await peerOf(listener);
        peer.write('too long for it');
        while (core.stats().total.droppedMessages === 0) await new Promise((resolve) => setImmediate(resolve));
        peer.write('short');
        expect((await read(peer, 5)).toString()).toBe('short');
      });
    });

    test('a session is paused: its peer is not read until it reads, and every byte arrives', async () => {
      await withCore({ backend }, async (core) => {
        const received: string[] = [];
        const listener = await listen(core, {
          session: {
            onReceive: (session, data) => {
              received.push(data.toString());
              // It never looks at what send() says. This is more than the kernel takes for a peer that does not read.
              for (let i = 0; i < 40; i++) session.send(MUCH);
            },
          },
          queueLimit: { perSession: 1_500_000, beyond: 'pause' },
        });
        const peer = await peerOf(listener);
        const turn = () => new Promise((resolve) => setImmediate(resolve));
        peer.write('first');
        while (received.length === 0) await turn();
        peer.write('second');
        for (let i = 0; i < 50; i++) await turn();
        // What has come since is with the kernel, and not with the session.
        expect(received).toEqual(['first']);
        await read(peer, 80 * MUCH.length);
        expect(received).toEqual(['first', 'second']);
        expect(core.stats().total).toMatchObject({ overflowed: 0, droppedMessages: 0 });
        peer.destroy();
      });
    }, 120_000);

    test('the pause of the limit and one of the user end apart', async () => {
      await withCore({ backend }, async (core) => {
        let session: Session | undefined;
        let received = 0;
        const got = deferred();
        const listener = await listen(core, {
          session: {
            onReceive: (one, data) => {
              session = one;
              received += data.length;
              if (received === 1) {
                one.send(MUCH);
                one.send(MUCH);
                one.pause();
              } else {
                got.resolve();
              }
            },
          },
          queueLimit: { perSession: 1_500_000, beyond: 'pause' },
        });
        const peer = await peerOf(listener);
        peer.write('1');
        await read(peer, 2 * MUCH.length);
        peer.write('2');
        // The queue has drained, but the user has not resumed.
        while (session!.bytesQueued > 0) await new Promise((resolve) => setImmediate(resolve));
        for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
        expect(received).toBe(1);
        session!.resume();
        await got.promise;
        expect(received).toBe(2);
      });
    });
  });

  describe('in all', () => {
    test('what others have queued counts', async () => {
      await withCore({ backend }, async (core) => {
        const [small, large] = [Buffer.from('fits'), pattern(40_000_000)];
        const listener = await listen(core, {
          session: { onReceive: (session, data) => session.send(data.toString() === 'large' ? large : small) },
          queueLimit: { inAll: large.length, beyond: 'drop' },
        });
        const [deaf, other] = [await peerOf(listener), await peerOf(listener)];
        // More than the kernel takes for a peer that does not read.
        deaf.write('large');
        while (core.stats().total.bytesQueued === 0) await new Promise((resolve) => setImmediate(resolve));
        other.write('large');
        while (core.stats().total.droppedMessages === 0) await new Promise((resolve) => setImmediate(resolve));
        while (core.stats().total.bytesQueued > large.length - 4) await new Promise((resolve) => setImmediate(resolve));
        other.write('small');
        expect((await read(other, 4)).toString()).toBe('fits');
        await read(deaf, large.length);
        other.write('large');
        await read(other, large.length);
        expect(core.stats().total.droppedMessages).toBe(1);
        for (const peer of [deaf, other]) peer.destroy();
      });
    }, 120_000);
  });

  test('a broadcast passes over a session that it would take beyond its limit', async () => {
    await withCore({ backend }, async (core) => {
      const listener = await listen(core, { session: {}, queueLimit: { perSession: 100 } });
      const peer = await peerOf(listener);
      while (listener.sessions.size === 0) await new Promise((resolve) => setImmediate(resolve));
      broadcast(core, 'x'.repeat(101));
      broadcast(core, 'fits');
      expect((await read(peer, 4)).toString()).toBe('fits');
      expect(core.stats().total).toMatchObject({ skipped: 1, overflowed: 0 });
    });
  });

  test('limits that make no sense are refused', async () => {
    await withCore({ backend }, async (core) => {
      const refused = [{ queueLimit: { perSession: 0 } }, { queueLimit: { inAll: -1 } }];
      for (const options of refused)
        await expect(listen(core, { session: {}, ...options })).rejects.toThrow(RangeError);
      const low = { session: {}, queueLimit: { perSession: 100 }, highWatermark: 101 };
      await expect(listen(core, low)).rejects.toThrow('the high watermark, 101, must be no more than');
    });
  });
});
