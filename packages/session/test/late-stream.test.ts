// Streams that are taken an await after the session opened: what came meanwhile is theirs, and no session waits for ever.

import { once } from 'node:events';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { Connector, type Session } from '../src/index.js';
import { withClock } from './clock.js';
import { closing, deferred, listen, onEachBackend, pattern, peerOf, withCore } from './support.js';

type Form = 'toDuplex()' | 'toWeb()' | 'for await';

/** All that the peer sends, read in one of the forms of a stream. */
async function all(session: Session, form: Form): Promise<string> {
  if (form === 'toDuplex()') return text(session.toDuplex());
  if (form === 'toWeb()') return text(session.toWeb().readable);
  let read = '';
  for await (const chunk of session) read += chunk;
  return read;
}

/** A session of a listener, which the peer has sent `bytes` to, and what it did since. */
async function keeping(core: Parameters<typeof listen>[0], more: Partial<Parameters<typeof listen>[1]> = {}) {
  const opened = deferred<Session>();
  const over = deferred<Error | undefined>();
  const listener = await listen(core, {
    session: { onConnected: (session) => opened.resolve(session), onDisconnected: (_, error) => over.resolve(error) },
    ...more,
  });
  const peer = await peerOf(listener, true);
  return { listener, peer, session: await opened.promise, over: over.promise };
}

/** Waits until the session has taken a piece out of the kernel that it cannot hand out. */
async function kept(core: { port: { stats: { packets: number } } }, before: number): Promise<void> {
  while (core.port.stats.packets <= before) await turn();
  await turn();
}

onEachBackend((backend) => {
  test.each<Form>(['toDuplex()', 'toWeb()', 'for await'])(
    '%s gets what came before it, and the end, when a handler takes it late',
    async (form) => {
      await withCore({ backend, threads: 0 }, async (core) => {
        const go = deferred();
        const read = deferred<string>();
        const listener = await listen(core, {
          session: {
            async onConnected(session) {
              await go.promise;
              read.resolve(await all(session, form));
              session.end();
            },
          },
        });
        const peer = await peerOf(listener, true);
        const before = core.port.stats.packets;
        peer.end('request');
        await kept(core, before);
        go.resolve();
        expect(await read.promise).toBe('request');
        await closing(peer.resume());
      });
    },
  );

  test('so does a client of a server that speaks first', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const server = createServer((socket) => socket.on('error', () => {}).end('220 hello'));
      await once(server.listen(0, '127.0.0.1'), 'listening');
      onTestFinished(() => void server.close());
      const { port } = server.address() as { port: number };
      const before = core.port.stats.packets;
      const session = await new Connector(core, { session: {} }).connect({ host: '127.0.0.1', port });
      await kept(core, before + 1);
      expect(await all(session, 'for await')).toBe('220 hello');
    });
  });

  test('what is kept is bounded: the window holds the peer back, and nothing is lost', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const { peer, session } = await keeping(core);
      // More than the kernel buffers. Linux 6.12 buffers 8 MB.
      const bytes = pattern(64_000_000);
      let taken = 0;
      const written = new Promise<void>((resolve) => peer.end(bytes, resolve));
      // As long as bytes leave the peer.
      for (let idle = 0; idle < 50; idle++) {
        await turn();
        if (taken !== peer.bytesWritten - peer.writableLength) idle = 0;
        taken = peer.bytesWritten - peer.writableLength;
      }
      expect(core.port.stats.buffersOut).toBe(0);
      // Wine tells node:net at once that any write is done.
      if (!process.env.WINEPREFIX) expect(peer.writableLength).toBeGreaterThan(0);
      const chunks: Buffer[] = [];
      for await (const chunk of session) chunks.push(chunk);
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      await written;
    });
  });

  test('with no stream after 10 seconds the bytes are dropped, and the session goes on and ends as any other', async () => {
    await withClock(backend, async (core, hand) => {
      const { peer, session, over } = await keeping(core);
      const before = core.port.stats.packets;
      peer.end('nobody wants it');
      await kept(core, before);
      hand.pass(9999);
      await turn();
      expect(session.writable).toBe(true);
      hand.pass(1);
      expect(await over).toBeUndefined();
      expect(session.bytesReceived).toBe(15);
    });
  });

  test('a stream that is taken after that does not pass for whole', async () => {
    await withClock(backend, async (core, hand) => {
      const { peer, session, over } = await keeping(core);
      const before = core.port.stats.packets;
      peer.write('nobody wants it');
      await kept(core, before);
      hand.pass(10_000);
      while (session.bytesReceived === 0) await turn();
      const [error] = await once(session.toDuplex(), 'error');
      expect(error).toMatchObject({ name: 'IocpError', code: 'ENODATA' });
      expect(await over).toBe(error);
    });
  });

  test.each(['onReceive', 'onEnd', 'onSend', 'onDrain'])('a session that has %s keeps nothing', async (handler) => {
    await withClock(backend, async (core) => {
      const over = deferred<Error | undefined>();
      const session = { [handler]: () => {}, onDisconnected: (_: Session, error?: Error) => over.resolve(error) };
      const peer = await peerOf(await listen(core, { session }));
      peer.end('x');
      expect(await over.promise).toBeUndefined(); // The time stands still.
    });
  });

  test('stop() does not wait for a stream', async () => {
    await withClock(backend, async (core) => {
      const { listener, peer, over } = await keeping(core);
      const before = core.port.stats.packets;
      peer.end('x');
      await kept(core, before);
      await listener.stop(60_000); // The time stands still.
      expect(await over).toBeUndefined();
    });
  });

  test('bytes that are kept count for the timeouts of what is received', async () => {
    await withClock(backend, async (core, hand) => {
      const { peer, session, over } = await keeping(core, { timeouts: { firstByte: 100, read: 1000 } });
      const before = core.port.stats.packets;
      peer.write('x');
      await kept(core, before);
      for (let i = 0; i < 9; i++) hand.pass(100);
      expect(session.writable).toBe(true);
      for (let i = 0; i < 6; i++) hand.pass(100);
      expect(await over).toMatchObject({ code: 'ETIMEDOUT' });
    });
  });
});
