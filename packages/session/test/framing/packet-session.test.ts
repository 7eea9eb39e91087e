// Sessions of frames on real sockets: what PacketSession promises to the one who writes its handlers.

import { once } from 'node:events';
import { isIocpError } from '@overlapped/iocp-native';
import { describe, expect, test } from 'vitest';
import {
  type Framer,
  framed,
  lengthPrefixed,
  lines,
  type PacketHandlers,
  PacketSession,
  type SessionKind,
} from '../../src/index.js';
import { closing, deferred, dial, listen, onEachBackend, pattern, peerOf, read, withCore } from '../support.js';
import { connect, serve } from '../threads.js';
import { fixed } from './kinds.js';

const prefixed = lengthPrefixed({ maxFrameLength: 10_000_000 });

function frame(body: Buffer | string): Buffer {
  const bytes = Buffer.from(body as string);
  return Buffer.concat([fixed(bytes.length, 4), bytes]);
}

/** A session's handlers that note what they are called with, and tell when it is over. */
function recorder(more: PacketHandlers = {}) {
  const log: string[] = [];
  const over = deferred<Error | undefined>();
  const handlers: PacketHandlers = {
    ...more,
    onPacket(session, packet) {
      log.push(packet.toString());
      return more.onPacket?.(session, packet);
    },
    onDisconnected: (_, error) => over.resolve(error),
  };
  return { log, over: over.promise, handlers };
}

onEachBackend((backend) => {
  test('a subclass and an object of handlers see the same calls, in the same order', async () => {
    await withCore({ backend }, async (core) => {
      const logs: string[][] = [[], []];
      const over = [deferred(), deferred()];
      class Recorder extends PacketSession {
        constructor() {
          super(lines());
        }
        override onConnected() {
          logs[0]!.push('connected');
        }
        override onPacket(line: Buffer) {
          logs[0]!.push(`packet ${line}`);
          this.sendPacket(line);
        }
        override onSend(bytes: number) {
          logs[0]!.push(`send ${bytes}`);
        }
        override onDisconnected(error?: Error) {
          logs[0]!.push(`disconnected ${error}`);
          over[0]!.resolve();
        }
      }
      const handlers = framed(lines(), {
        onConnected: () => logs[1]!.push('connected'),
        onPacket: (session, line) => {
          logs[1]!.push(`packet ${line}`);
          session.sendPacket(line);
        },
        onSend: (_, bytes) => logs[1]!.push(`send ${bytes}`),
        onDisconnected: (_, error) => {
          logs[1]!.push(`disconnected ${error}`);
          over[1]!.resolve();
        },
      });
      const kinds: SessionKind[] = [Recorder, handlers];
      for (const [i, session] of kinds.entries()) {
        const peer = await peerOf(await listen(core, { session }));
        peer.write('one\r\ntwo\n');
        expect((await read(peer, 8)).toString()).toBe('one\ntwo\n');
        peer.end();
        await over[i]!.promise;
      }
      expect(logs[0]).toEqual(['connected', 'packet one', 'packet two', 'send 8', 'disconnected undefined']);
      expect(logs[1]).toEqual(logs[0]);
    });
  });

  test('many small frames in one segment are answered in order, in one operation', async () => {
    await withCore({ backend }, async (core) => {
      const sends: number[] = [];
      const session = framed(prefixed, {
        onPacket: (session, packet) => session.sendPacket(packet),
        onSend: (_, bytes) => sends.push(bytes),
      });
      const peer = await peerOf(await listen(core, { session }));
      const all = Buffer.concat(Array.from({ length: 500 }, (_, i) => frame(`message ${i}`)));
      peer.write(all);
      expect((await read(peer, all.length)).equals(all)).toBe(true);
      await core.stop();
      // The segment may have come in two pieces.
      expect(sends.length).toBeLessThanOrEqual(2);
      expect(core.sendBuffers.out).toBe(0);
    });
  });

  test.each([0, 8000, 16_385, 5_000_000])('a frame of %i bytes goes there and back', async (length) => {
    await withCore({ backend }, async (core) => {
      const session = framed(prefixed, { onPacket: (session, packet) => session.sendPacket(packet) });
      const peer = await peerOf(await listen(core, { session }));
      const bytes = frame(pattern(length));
      // Another behind it, so that more than one is on its way.
      peer.write(bytes);
      peer.write(bytes);
      expect((await read(peer, 2 * bytes.length)).equals(Buffer.concat([bytes, bytes]))).toBe(true);
    });
  });

  test('the header and the body go in one operation', async () => {
    await withCore({ backend }, async (core) => {
      const sends: number[] = [];
      const session = framed(prefixed, {
        onConnected: (session) => session.sendPacket(pattern(40_000)),
        onSend: (_, bytes) => sends.push(bytes),
      });
      await read(await peerOf(await listen(core, { session })), 40_004);
      await core.stop();
      expect(sends).toEqual([40_004]);
    });
  });

  test("a session that pauses at every frame gets each in its turn, and the peer's end after them", async () => {
    await withCore({ backend }, async (core) => {
      let paused = false;
      let received = 0;
      const { handlers, log, over } = recorder({
        onPacket: (session) => {
          expect(paused).toBe(false);
          paused = true;
          received = session.bytesReceived;
          session.pause();
          setImmediate(() => {
            // Only what has been handed out counts, and nothing was meanwhile.
            expect(session.bytesReceived).toBeLessThanOrEqual(received);
            paused = false;
            session.resume();
          });
        },
      });
      const peer = await peerOf(await listen(core, { session: framed(prefixed, handlers) }));
      const words = Array.from({ length: 300 }, (_, i) => `${i} `.repeat(i));
      const all = Buffer.concat(words.map(frame));
      peer.end(all);
      expect(await over).toBeUndefined();
      expect(log).toEqual(words);
      expect(received).toBe(all.length);
    });
  });

  test('what a paused session has not been handed stays as it came, whatever others receive', async () => {
    await withCore({ backend }, async (core) => {
      const paused = deferred<PacketSession>();
      const { handlers, log, over } = recorder({
        onPacket: (session, packet) => {
          if (packet.toString() !== 'pause') return;
          session.pause();
          paused.resolve(session);
        },
      });
      const peer = await peerOf(await listen(core, { session: framed(prefixed, handlers) }));
      peer.end(Buffer.concat(['pause', 'one', 'two'].map(frame)));
      const session = await paused.promise;
      // More than all receive buffers hold.
      const echo = await peerOf(await listen(core, { session: { onReceive: (other, data) => other.send(data) } }));
      echo.write(Buffer.alloc(20_000_000, 'x'));
      await read(echo, 20_000_000);
      session.resume();
      expect(await over).toBeUndefined();
      expect(log).toEqual(['pause', 'one', 'two']);
    });
  });

  test('a session that pauses and resumes at once loses nothing', async () => {
    await withCore({ backend }, async (core) => {
      const { handlers, log, over } = recorder({
        onPacket: (session) => {
          session.pause();
          session.resume();
        },
      });
      const peer = await peerOf(await listen(core, { session: framed(prefixed, handlers) }));
      const words = Array.from({ length: 2000 }, (_, i) => `word ${i}`);
      peer.end(Buffer.concat(words.map(frame)));
      expect(await over).toBeUndefined();
      expect(log).toEqual(words);
    });
  });

  test.each<[string, PacketHandlers['onPacket'], string | undefined]>([
    ['is destroyed', (session) => session.destroy(), undefined],
    ['throws', () => fail(), 'as planned'],
    ['pauses, and is destroyed', pauseAndDestroy, undefined],
  ])('a session that %s in onPacket gets no other', async (_, onPacket, message) => {
    await withCore({ backend }, async (core) => {
      const { handlers, log, over } = recorder({ onPacket: (session, packet) => onPacket?.(session, packet) });
      const peer = dial(await listen(core, { session: framed(prefixed, handlers) }));
      const closed = closing(peer);
      peer.resume().write(Buffer.concat([frame('one'), frame('two'), frame('three').subarray(0, 5)]));
      expect((await over)?.message).toBe(message);
      await closed;
      expect(log).toEqual(['one']);
    });
  });

  test('a session whose onPacket rejects ends with the error', async () => {
    await withCore({ backend }, async (core) => {
      const { handlers, over } = recorder({ onPacket: async () => fail() });
      const peer = dial(await listen(core, { session: framed(prefixed, handlers) }));
      peer.resume().write(frame('one'));
      expect((await over)?.message).toBe('as planned');
    });
  });

  test('a session that ends in onPacket still gets what the peer says', async () => {
    await withCore({ backend }, async (core) => {
      const { handlers, log, over } = recorder({ onPacket: (session) => session.end() });
      const peer = await peerOf(await listen(core, { session: framed(prefixed, handlers) }), true);
      const ended = once(peer.resume(), 'end');
      peer.write(Buffer.concat([frame('one'), frame('two')]));
      await ended;
      peer.end(frame('three'));
      expect(await over).toBeUndefined();
      expect(log).toEqual(['one', 'two', 'three']);
    });
  });

  describe('a breach closes the session', () => {
    const small = { maxFrameLength: 100 };
    test.each<[string, Framer, string | Buffer, Buffer, string]>([
      ['a frame that is too long', lengthPrefixed(small), frame('good'), fixed(97, 4), 'EMSGSIZE'],
      ['a line that is too long', lines(small), 'good\n', Buffer.alloc(101, 'x'), 'EMSGSIZE'],
      [
        'a length that none has',
        lengthPrefixed({ adjustment: -1 }),
        Buffer.from('\0\0\0\x05good'),
        fixed(0, 4),
        'EPROTO',
      ],
    ])('%s', async (_, framer, good, bad, code) => {
      await withCore({ backend }, async (core) => {
        const { handlers, log, over } = recorder();
        const peer = dial(await listen(core, { session: framed(framer, handlers) }));
        const closed = closing(peer);
        peer.resume().write(Buffer.concat([Buffer.from(good as string), bad]));
        const error = await over;
        expect(isIocpError(error) && error.code).toBe(code);
        expect(error!.message).toMatch(/^Cannot read a frame: its? .+ \(E\w+, receive\)$/);
        await closed;
        expect(log).toEqual(['good']);
      });
    });

    test("half a frame at the peer's end, after what is queued has been sent", async () => {
      await withCore({ backend }, async (core) => {
        const { handlers, log, over } = recorder({ onPacket: (session) => session.sendPacket(pattern(300_000)) });
        const peer = await peerOf(await listen(core, { session: framed(prefixed, handlers) }));
        peer.end(Buffer.concat([frame('one'), frame('two').subarray(0, 6)]));
        expect((await read(peer, 300_004)).subarray(4).equals(pattern(300_000))).toBe(true);
        expect(await over).toMatchObject({ code: 'EPROTO', message: /the peer ended in the middle/ });
        expect(log).toEqual(['one']);
      });
    });
  });

  test('a packet that has no frame ends the session that sends it, and nothing of it is sent', async () => {
    await withCore({ backend }, async (core) => {
      const { handlers, over } = recorder({ onConnected: (session) => session.sendPacket('two\nlines') });
      const peer = dial(await listen(core, { session: framed(lines(), handlers) }));
      const chunks: Buffer[] = [];
      peer.on('data', (chunk) => chunks.push(chunk));
      await closing(peer);
      expect(await over).toBeInstanceOf(RangeError);
      expect(chunks).toEqual([]);
    });
  });

  test('sessions of frames live in worker threads, too', async () => {
    const { port } = await serve({ backend }, { module: new URL('../modules/packets.js', import.meta.url) });
    const [client] = await connect(port, 1);
    client!.socket.write('one\ntwo\n');
    expect((await read(client!.socket, 8)).toString()).toBe('ONE\nTWO\n');
  });
});

function pauseAndDestroy(session: PacketSession): void {
  session.pause();
  session.destroy();
}

function fail(): never {
  throw new Error('as planned');
}
