// A session as a stream, where it is not about net.Socket: web streams, loops over a session, worker threads, and what the
// session itself has to say.

import { once } from 'node:events';
import { statSync } from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { Session, type SessionHandlers } from '../src/index.js';
import { ask, hashOf, hashOfLarge, LARGE, largeBody } from './http-support.js';
import { logOf, openCore, standStill, turns } from './streams.js';
import { deferred, dial, listen, onEachBackend, pattern, peerOf, read } from './support.js';
import { isNative, serve } from './threads.js';

const HTTP = new URL('./modules/http.js', import.meta.url);

onEachBackend((backend) => {
  /** A session, its peer, and the error that it ended with. */
  async function connect(handlers: SessionHandlers = {}) {
    const opened = deferred<Session>();
    const over = deferred<Error | undefined>();
    const session: SessionHandlers = {
      ...handlers,
      onConnected(session) {
        opened.resolve(session);
        return handlers.onConnected?.(session);
      },
      onDisconnected: (_, error) => over.resolve(error),
    };
    const core = openCore(backend);
    const listener = await listen(core, { session });
    const peer = await peerOf(listener, true);
    peer.on('error', () => {});
    return { core, session: await opened.promise, over: over.promise, peer, listener };
  }

  describe('toDuplex()', () => {
    test('large messages come whole, also to a stream that pauses or is destroyed, and hold no receive buffer', async () => {
      const core = openCore(backend);
      const opened = deferred<Session>();
      const listener = await listen(core, { session: { onConnected: (session) => opened.resolve(session) } });
      const peer = await peerOf(listener, true);
      peer.on('error', () => {});
      const stream = (await opened.promise).toDuplex();
      const sent = pattern(2 << 20);
      const chunks: Buffer[] = [];
      let length = 0;
      const all = deferred();
      stream.on('data', (chunk) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length === sent.length) all.resolve();
        if (chunks.length % 3 !== 0) return;
        stream.pause();
        setImmediate(() => stream.resume());
      });
      peer.write(sent);
      await all.promise;
      expect(Buffer.concat(chunks).equals(sent)).toBe(true);
      peer.write(sent);
      await once(stream, 'data');
      const closed = once(stream, 'close');
      stream.destroy();
      await closed;
      expect(core.port.stats.buffersOut).toBe(0);
    });

    test('a write with nothing ahead of it is with the kernel when write() returns, where a port sends directly', async () => {
      const { core, session, peer } = await connect();
      const stream = session.toDuplex();
      const calls: string[] = [];
      peer.write('first');
      await once(stream, 'data');
      const before = session.bytesSent;
      stream.write('taken', () => calls.push('written'));
      const taken = core.port.sendsDirectly ? 5 : 0;
      expect([session.bytesSent - before, session.bytesQueued, calls]).toEqual([taken, 5 - taken, []]);
      stream.write(pattern(70_000), () => calls.push('more'));
      stream.write('last', () => calls.push('last'));
      const all = await read(peer, 70_009);
      expect(all.equals(Buffer.concat([Buffer.from('taken'), pattern(70_000), Buffer.from('last')]))).toBe(true);
      stream.end();
      await once(stream, 'finish');
      expect(calls).toEqual(['written', 'more', 'last']);
      expect([session.bytesSent - before, stream.bytesWritten]).toEqual([70_009, 70_009]);
    });

    test('is the same one each time, and takes the place of the handlers but onDisconnected', async () => {
      const calls: string[] = [];
      const sent = deferred();
      const { session, peer, over } = await connect({
        onReceive(session, data) {
          calls.push(`receive ${data}`);
          session.send(data);
        },
        onSend(_, bytes) {
          calls.push(`send ${bytes}`);
          sent.resolve();
        },
        onDrain: () => calls.push('drain'),
      });
      peer.write('before');
      await Promise.all([read(peer, 6), sent.promise]);
      const stream = session.toDuplex();
      expect(session.toDuplex()).toBe(stream);
      peer.end('after');
      expect(String(await read(stream, 5))).toBe('after');
      stream.end(pattern(300_000));
      await read(peer, 300_000);
      expect(await over).toBeUndefined();
      expect(calls).toEqual(['receive before', 'send 6']);
    });

    test('ends when a file that the session had queued is sent', async () => {
      const { session, peer, over } = await connect();
      const { size } = statSync(import.meta.filename);
      const sent = session.sendFile(import.meta.filename);
      const finished = new Promise((resolve) => session.toDuplex().end(() => resolve(session.bytesSent)));
      await read(peer, size);
      peer.end();
      expect(await over).toBeUndefined();
      expect(await Promise.all([sent, finished])).toEqual([size, size]);
    });

    test('destroyed while a file waits, it resets', async () => {
      const { session, peer, over } = await connect();
      const refused = expect(session.sendFile(import.meta.filename)).rejects.toMatchObject({ code: 'EPIPE' });
      const reset = once(peer.resume(), 'error');
      session.toDuplex().destroy();
      await refused;
      expect((await reset)[0]).toMatchObject({ code: 'ECONNRESET' });
      expect(await over).toBeUndefined();
    });

    test('of a session that is over it is destroyed', async () => {
      const { session, peer, over } = await connect();
      peer.resetAndDestroy();
      const error = await over;
      const stream = session.toDuplex();
      expect(stream.destroyed).toBe(true);
      const [reason] = await once(stream, 'error');
      expect(reason).toBe(error);
    });

    test('of a session that has ended it has ended, too', async () => {
      const { session, peer } = await connect();
      session.end('bye');
      const stream = session.toDuplex();
      expect(stream.writableEnded).toBe(true);
      peer.end('last words');
      expect(await text(stream)).toBe('last words');
      expect(await text(peer)).toBe('bye');
    });

    test("destroy() of the session is one of the stream, with the session's error", async () => {
      const { session, peer, over } = await connect();
      const stream = session.toDuplex();
      const reason = new Error('enough');
      session.destroy(reason);
      expect(await once(stream, 'error')).toEqual([reason]);
      expect(await over).toBe(reason);
      peer.destroy();
    });

    test('a session that drops what it is to send is an error of the write, and of the stream', async () => {
      const opened = deferred<Session>();
      class Dropping extends Session {
        override onConnected() {
          opened.resolve(this);
        }
        override send(data: Uint8Array | string) {
          return String(data) !== 'dropped' && super.send(data);
        }
      }
      const peer = dial(await listen(openCore(backend), { session: Dropping }));
      const stream = (await opened.promise).toDuplex();
      const failed = once(stream, 'error');
      stream.write('sent');
      expect(String(await read(peer, 4))).toBe('sent');
      const written = new Promise((resolve) => stream.write('dropped', resolve));
      expect(await written).toMatchObject({ code: 'ENOBUFS' });
      expect((await failed)[0]).toBe(await written);
    });

    test('end() of the session first sends what was written to the stream', async () => {
      const { session, peer, listener } = await connect();
      const stream = session.toDuplex();
      for (let i = 0; i < 50; i++) stream.write(pattern(100_000));
      session.end();
      const stopped = listener.stop();
      expect((await read(peer, 5_000_000)).equals(Buffer.concat(Array(50).fill(pattern(100_000))))).toBe(true);
      peer.end();
      stream.resume();
      await stopped;
      expect(stream.writableFinished).toBe(true);
    });

    test('a listener that stops leaves the stream to its owner, and waits', async () => {
      const { session, peer, listener } = await connect();
      const stream = session.toDuplex();
      const stopped = listener.stop();
      await turns();
      stream.write('still ');
      stream.end('here');
      peer.end();
      expect(await text(peer)).toBe('still here');
      stream.resume();
      await stopped;
      expect(stream.writableFinished).toBe(true);
    });

    test('a peer that neither reads nor ends is cut off when stopping', async () => {
      const { session, peer, listener } = await connect();
      const stream = session.toDuplex();
      const log = logOf(stream as unknown as net.Socket);
      stream.write(pattern(30_000_000));
      const closed = once(stream, 'close');
      await listener.stop(50);
      await closed;
      expect(log).toEqual(['close false']);
      peer.destroy();
    });
  });

  describe('toWeb()', () => {
    test('bytes go both ways, and each way ends by itself', async () => {
      const { session, peer, over } = await connect();
      const { readable, writable } = session.toWeb();
      const writer = writable.getWriter();
      await writer.write(Buffer.from('to the peer'));
      peer.end('from the peer');
      expect(await text(readable)).toBe('from the peer');
      await writer.write(Buffer.from(', still'));
      await writer.close();
      expect(await text(peer)).toBe('to the peer, still');
      expect(await over).toBeUndefined();
    });

    test('a pipe through them has back-pressure', async () => {
      const { session, peer } = await connect();
      const { readable, writable } = session.toWeb();
      const piped = readable.pipeTo(writable);
      largeBody().pipe(peer);
      await standStill(() => session.bytesReceived);
      expect(session.bytesReceived).toBeLessThan(LARGE);
      expect(await hashOf(peer)).toBe(await hashOfLarge());
      await piped;
    });

    test('cancelling the readable destroys both, and so does aborting the writable', async () => {
      for (const stop of ['cancel', 'abort']) {
        const { session, peer, over } = await connect();
        const { readable, writable } = session.toWeb();
        const reason = new Error('enough');
        await (stop === 'cancel' ? readable.cancel(reason) : writable.abort(reason));
        expect(await over).toBe(reason);
        if (stop === 'cancel') await expect(writable.getWriter().closed).rejects.toBe(reason);
        else await expect(readable.getReader().read()).rejects.toBe(reason);
        peer.destroy();
      }
    });

    test('is the same pair each time', async () => {
      const { session } = await connect();
      expect(session.toWeb()).toBe(session.toWeb());
    });

    test('a chunk may be used again when its write is settled', async () => {
      const { session, peer } = await connect();
      for (const size of [1000, 100_000]) {
        const writer = session.toWeb().writable.getWriter();
        const chunk = new Uint8Array(size);
        const got = read(peer, 20 * size);
        for (let i = 0; i < 20; i++) {
          chunk.fill(i);
          await writer.write(chunk);
        }
        writer.releaseLock();
        const expected = Buffer.concat(Array.from({ length: 20 }, (_, i) => Buffer.alloc(size, i)));
        expect((await got).equals(expected)).toBe(true);
      }
    });

    test('write(), close() and closed reject when what was written is lost', async () => {
      for (const waits of ['a chunk', 'the end']) {
        const { session, peer } = await connect();
        const writer = session.toWeb().writable.getWriter();
        const promises: Promise<void>[] = [writer.closed];
        if (waits === 'a chunk') promises.push(writer.write(pattern(30_000_000)));
        else session.toDuplex().write(pattern(30_000_000));
        const settled = Promise.allSettled([...promises, writer.close()]);
        await once(peer, 'data');
        peer.resetAndDestroy();
        for (const { status, ...rest } of await settled) {
          expect([status, (rest as PromiseRejectedResult).reason?.code]).toEqual(['rejected', 'ECONNRESET']);
        }
      }
    });

    test('close() rejects when its stream was destroyed meanwhile', async () => {
      const { session } = await connect();
      const writer = session.toWeb().writable.getWriter();
      const closed = writer.close();
      session.toDuplex().destroy();
      await expect(closed).rejects.toMatchObject({ code: 'ECANCELED' });
      await expect(writer.closed).rejects.toBeDefined();
    });

    test.each(['cancel', 'abort', 'cancel and abort'])('%s of a stream that is over, and again', async (how) => {
      for (const state of ['ended', 'destroyed', 'destroyed before']) {
        const { session, peer, over } = await connect();
        const stream = session.toDuplex();
        if (state === 'destroyed before') stream.destroy();
        else {
          peer.resume().end();
          await once(stream, 'end');
          if (state === 'destroyed') stream.destroy();
        }
        // Before finished() tells the web streams of it.
        const stops: Promise<void>[] = [];
        for (let times = 0; times < 2; times++) {
          const { readable, writable } = session.toWeb();
          if (how.includes('cancel')) stops.push(readable.cancel());
          if (how.includes('abort')) stops.push(writable.abort());
        }
        // What is wrong surfaces as an uncaught exception, which fails the test.
        await Promise.allSettled(stops);
        await over;
        await turns();
        expect(stream.destroyed).toBe(true);
      }
    });

    test('a reset is an error of both', async () => {
      const { session, peer } = await connect();
      const { readable, writable } = session.toWeb();
      peer.resetAndDestroy();
      await expect(readable.getReader().read()).rejects.toMatchObject({ code: 'ECONNRESET' });
      await expect(writable.getWriter().closed).rejects.toMatchObject({ code: 'ECONNRESET' });
    });
  });

  describe('for await of a session', () => {
    test('has every byte, holds the peer back, and ends the session at the end', async () => {
      const hash = deferred<string>();
      const { peer, over } = await connect({
        async onConnected(session) {
          hash.resolve(await hashOf(Readable.from(session)));
        },
      });
      largeBody().pipe(peer);
      expect(await hash.promise).toBe(await hashOfLarge());
      peer.resume();
      expect(await over).toBeUndefined();
    });

    test('chunks are copies', async () => {
      const chunks: Buffer[] = [];
      const { peer, over } = await connect({
        async onConnected(session) {
          for await (const chunk of session) {
            chunks.push(chunk);
            session.send(chunk);
          }
        },
      });
      // More than there are receive buffers that are used in turn.
      const parts = Array.from({ length: 300 }, (_, i) => `part ${i}`);
      for (const part of parts) {
        peer.write(part);
        await read(peer, part.length);
      }
      peer.end();
      await over;
      expect(chunks.map(String)).toEqual(parts);
    });

    test('leaving the loop sends what was sent, ends, and drops what still comes', async () => {
      const { peer, over } = await connect({
        async onConnected(session) {
          for await (const chunk of session) {
            session.send(`${chunk}, and bye`);
            break;
          }
        },
      });
      peer.write('hello');
      expect(await text(peer)).toBe('hello, and bye');
      peer.end(pattern(1_000_000));
      expect(await over).toBeUndefined();
    });

    test('a listener that stops ends the session of a loop', async () => {
      const { peer, over, listener } = await connect({
        async onConnected(session) {
          for await (const chunk of session) session.send(chunk);
        },
      });
      peer.write('x');
      await read(peer, 1);
      const ended = once(peer, 'end');
      const stopped = listener.stop();
      await ended;
      peer.end();
      await stopped;
      expect(await over).toBeUndefined();
    });

    test('a throw in the loop of a handler closes the session with it', async () => {
      const { peer, over } = await connect({
        async onConnected(session) {
          for await (const _ of session) throw new Error('as planned');
        },
      });
      peer.write('x');
      expect((await over)?.message).toBe('as planned');
    });

    test('a reset is thrown, and nobody has to listen for it', async () => {
      const { peer, over } = await connect({
        async onConnected(session) {
          for await (const _ of session) peer.resetAndDestroy();
        },
      });
      peer.write('x');
      expect(await over).toMatchObject({ code: 'ECONNRESET' });
    });
  });

  // Sockets of node:net cannot move between threads.
  test.runIf(isNative(backend))('http in worker threads', async () => {
    const { core, port } = await serve({ backend }, { module: HTTP });
    const agents = Array.from({ length: 4 }, () => new http.Agent({ keepAlive: true }));
    const threads = new Set<string>();
    for (const agent of [...agents, ...agents]) {
      const { text } = await ask(`http://127.0.0.1:${port}`, { agent, method: 'POST' }, 'x'.repeat(100_000));
      const [thread, length] = text.split(' ');
      expect(length).toBe('100000');
      threads.add(thread!);
    }
    expect(threads.size).toBe(2);
    await core.stop();
    for (const agent of agents) agent.destroy();
  });
});
