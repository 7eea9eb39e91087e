// What goes to a peer is what it was sent, and nothing of what other peers sent: whatever view of borrowed bytes is sent, and
// whatever an array says of itself.

import { inspect } from 'node:util';
import { type BackendName, endpoint } from '@overlapped/iocp-native';
import { Core } from '@overlapped/net-core/internal';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { broadcast, DatagramSession, framed, lengthPrefixed, type Session } from '../src/index.js';
import { SendQueue } from '../src/session/send-queue.js';
import { deferred, dial, listen, onEveryBackend, peerOf, read, withCore } from './support.js';

const SECRET = 'secret'.repeat(300);

/** A core with one receive buffer, so that all peers' bytes come in the same place. */
async function withOneBuffer(backend: BackendName, use: (core: Core) => Promise<void>): Promise<void> {
  const core = new Core({ backend, threads: 0 }, { receiveBuffers: { count: 1, size: 4096 } });
  try {
    await use(core);
  } finally {
    await core.stop(1000);
  }
}

/** Says so many bytes, and has others. */
class Liar extends Uint8Array {
  static lie: unknown = 4000;

  override get length(): never {
    return Liar.lie as never;
  }

  override get byteLength(): never {
    return Liar.lie as never;
  }

  override get byteOffset(): never {
    return Liar.lie as never;
  }

  override get buffer(): never {
    throw new Error('asked for its memory');
  }

  override subarray(): never {
    throw new Error('asked for a part');
  }

  static get [Symbol.species](): never {
    throw new Error('asked for its kind');
  }
}

const lies = [4000, -200_000, Number.NaN, 2 ** 40, 0.5, '7', undefined, null];

onEveryBackend((backend) => {
  test('a view of the memory of what was received sends what was received', async () => {
    await withOneBuffer(backend, async (core) => {
      const views: ((data: Buffer) => Uint8Array)[] = [
        (data) => new Uint8Array(data.buffer, data.byteOffset),
        (data) => new Uint8Array(data.buffer),
        (data) => Buffer.from(data.buffer),
        (data) => data.subarray(0, 3),
        (data) => new Uint8Array(data.buffer, data.byteOffset + 3),
      ];
      let view = views[0]!;
      const onReceive = (session: Session, data: Buffer): void => {
        session.send(view(data));
        session.send('|');
      };
      const victims = await listen(core, { session: { onReceive: (session) => void session.send('.') } });
      const echo = await listen(core, { session: { onReceive } });
      const [victim, peer] = [await peerOf(victims), await peerOf(echo)];
      for (const [i, expected] of ['hello', 'hello', 'hello', 'hel', 'lo'].entries()) {
        view = views[i]!;
        victim.write(SECRET);
        await read(victim, 1);
        peer.write('hello');
        expect(String(await read(peer, expected.length + 1))).toBe(`${expected}|`);
      }
      expect(peer.bytesRead).toBe(5 + 5 + 5 + 3 + 2 + 5);
      victim.destroy();
      peer.destroy();
    });
  });

  test('so does a packet, a broadcast and a datagram of it', async () => {
    await withOneBuffer(backend, async (core) => {
      const slip = (data: Buffer) => new Uint8Array(data.buffer);
      const frames = await listen(core, {
        session: framed(lengthPrefixed({ size: 2, strip: 0 }), {
          onPacket: (session, frame) => void session.sendPacket(slip(frame)),
        }),
      });
      const all = await listen(core, { session: { onReceive: (_, data) => void broadcast(core, slip(data)) } });
      const [framer, speaker] = [await peerOf(frames), await peerOf(all)];
      const victim = await peerOf(await listen(core, { session: { onReceive: (session) => void session.send('.') } }));
      victim.write(SECRET);
      await read(victim, 1);
      framer.write('\0\x03abc');
      expect(String(await read(framer, 5))).toBe('\0\x03abc');
      victim.write(SECRET);
      await read(victim, 1);
      const heard = [framer, speaker].map((peer) => read(peer, 5));
      speaker.write('hello');
      expect((await Promise.all(heard)).map(String)).toEqual(['hello', 'hello']);
      expect([framer.bytesRead, speaker.bytesRead]).toEqual([10, 5]);
      const got = deferred<string>();
      const server = await DatagramSession.bind(core, {
        host: '127.0.0.1',
        port: 0,
        session: { onMessage: (session, data, from) => void session.send(slip(data), from) },
      });
      const client = await DatagramSession.connect(core, {
        host: '127.0.0.1',
        port: server.local.port,
        session: { onMessage: (_, data) => got.resolve(String(data)) },
      });
      client.send('short');
      expect(await got.promise).toBe('short');
      for (const peer of [framer, speaker, victim]) peer.destroy();
    });
  });

  test.each(lies)('an array that says it has %s bytes sends those that it has', async (lie) => {
    Liar.lie = lie;
    await withCore({ backend, threads: 0 }, async (core) => {
      const opened = deferred<Session>();
      const listener = await listen(core, { session: { onConnected: (session) => opened.resolve(session) } });
      const peer = await peerOf(listener);
      const session = await opened.promise;
      const small = new Liar([1, 2, 3, 4]);
      const large = new Liar(40_000).fill(7);
      expect(session.send(small)).toBe(true);
      expect(session.bytesQueued).toBe(4);
      session.send(large);
      expect(session.bytesQueued).toBe(40_004);
      session.send('end');
      const all = await read(peer, 40_007);
      expect(all.equals(Buffer.concat([Buffer.from([1, 2, 3, 4]), Buffer.alloc(40_000, 7), Buffer.from('end')]))).toBe(
        true,
      );
      const heard = read(peer, 4);
      expect(broadcast(core, small)).toBe(true);
      expect([...(await heard)]).toEqual([1, 2, 3, 4]);
      const got = deferred<number[]>();
      const local = { host: '127.0.0.1', port: 0 };
      const server = await DatagramSession.bind(core, {
        ...local,
        session: { onMessage: (_, data) => got.resolve([...data]) },
      });
      const client = await DatagramSession.bind(core, { ...local, session: {} });
      client.send(small, endpoint('127.0.0.1', server.local.port));
      expect(await got.promise).toEqual([1, 2, 3, 4]);
      // The packet of the datagram's send may come later than the datagram.
      while (core.stats().total.bytesQueued !== 0) await new Promise(setImmediate);
      peer.destroy();
    });
  });

  test('an array whose memory is gone is an empty one, for send() and for broadcast()', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const opened = deferred<Session>();
      const peer = await peerOf(await listen(core, { session: { onConnected: (session) => opened.resolve(session) } }));
      const session = await opened.promise;
      const gone = new Uint8Array(100);
      structuredClone(gone.buffer, { transfer: [gone.buffer] });
      expect([session.send(gone), broadcast(core, gone)]).toEqual([true, true]);
      session.send('end');
      expect(String(await read(peer, 3))).toBe('end');
      peer.destroy();
    });
  });

  test('a clone of what was received is no larger than a receive buffer', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const size = deferred<number>();
      const onReceive = (_: Session, data: Buffer): void => size.resolve(structuredClone(data).buffer.byteLength);
      const peer = await peerOf(await listen(core, { session: { onReceive } }));
      peer.write('hello');
      expect(await size.promise).toBeLessThanOrEqual(8256);
      peer.destroy();
    });
  });

  test('what is logged of a core, while it has bytes of a peer, is small and has none of them', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const texts = deferred<string[]>();
      const bytes = [...Buffer.from('hunter2')];
      const listener = await listen(core, {
        session: {
          onReceive: (session) => {
            session.send('hunter2');
            const all = [core, core.port, core.events, core.sendBuffers, session, listener];
            texts.resolve([JSON.stringify({ core }), ...all.flatMap((one) => [JSON.stringify(one), inspect(one)])]);
          },
        },
      });
      const peer = await peerOf(listener);
      peer.write('hunter2');
      for (const text of await texts.promise) {
        expect(text.length).toBeLessThan(2000);
        for (const secret of ['hunter2', bytes.join(), bytes.map((byte) => byte.toString(16)).join(' ')]) {
          expect(text.includes(secret)).toBe(false);
        }
      }
      await read(peer, 7);
      peer.destroy();
    });
  });

  test('a handler that releases the receive buffer it has costs its own session, or its datagram', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const release = (data: Buffer) => core.port.release(core.port.bufferOf(data));
      const ends: (Error | undefined)[] = [];
      const over = deferred();
      const listener = await listen(core, {
        session: {
          onReceive(session, data) {
            if (String(data) === 'release') release(data);
            else session.send(data);
          },
          onDisconnected(_, error) {
            ends.push(error);
            if (ends.length === 1) over.resolve();
          },
        },
      });
      const other = dial(listener);
      dial(listener).write('release');
      await over.promise;
      expect(ends[0]).toMatchObject({ code: 'ERR_ASSERTION' });
      other.write('hello');
      expect(String(await read(other, 5))).toBe('hello');
      other.destroy();

      const failed = core.stats().own.failed;
      const answered = deferred();
      const local = { host: '127.0.0.1', port: 0 };
      const server = await DatagramSession.bind(core, {
        ...local,
        session: {
          onMessage(session, data, from) {
            if (String(data) === 'release') release(data);
            else session.send(data, from);
          },
        },
      });
      const client = await DatagramSession.bind(core, { ...local, session: { onMessage: () => answered.resolve() } });
      client.send('release', server.local);
      client.send('hello', server.local);
      await answered.promise;
      expect(core.stats().own.failed).toBe(failed + 1);
    });
  });

  test('a broadcast to peers that do not read is kept once for all of them', async () => {
    const core = new Core({ backend, threads: 0 }, { sendBuffers: { count: 16, size: 16_384 } });
    const [count, messages, size] = [10, 400, 2000];
    // More than the kernel takes, so that what follows waits.
    const first = Buffer.alloc(12 << 20);
    const onConnected = (session: Session): void => void session.send(first);
    const listener = await listen(core, { session: { onConnected }, highWatermark: 1 << 30 });
    const peers = Array.from({ length: count }, () => dial(listener).pause());
    while (core.sessions < count) await new Promise(setImmediate);
    const text = Buffer.alloc(size);
    // The memory of the shared messages, which comes with the first one.
    broadcast(core, text, 'nobody');
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < messages; i++) expect(broadcast(core, text.fill(i))).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan((count * messages * size) / 3);
    await Promise.all(
      peers.map(async (peer) => {
        const reading = read(peer, first.length + messages * size);
        peer.resume();
        const bytes = await reading;
        const rest = bytes.subarray(first.length);
        const wrong = rest.findIndex((byte, at) => byte !== (Math.floor(at / size) & 0xff));
        expect([rest.length, wrong]).toEqual([messages * size, -1]);
      }),
    );
    for (const peer of peers) peer.destroy();
    await core.stop(1000);
  });
});

test('bytes that are gone before they were copied cost nothing', async () => {
  const core = new Core({ threads: 0 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), fc.boolean(), (length, behind) => {
      const queue = new SendQueue(core);
      if (behind) queue.push(new Uint8Array(10), 10);
      const { bytes } = queue;
      const { out } = core.sendBuffers;
      const gone = new Uint8Array(length);
      structuredClone(gone.buffer, { transfer: [gone.buffer] });
      // As optimized code may have it, which reads the length that the array had.
      queue.push(gone, length);
      expect([queue.bytes, core.sendBuffers.out, core.stats().total.bytesQueued]).toEqual([bytes, out, bytes]);
      const later = new Uint8Array(100_000);
      queue.push(later, 100_000);
      structuredClone(later.buffer, { transfer: [later.buffer] });
      queue.gather();
      expect(queue.gather()).toBe(null);
      expect(queue.gone?.code).toBe('EFAULT');
      queue.discard();
      queue.sent(0, null);
      expect([core.sendBuffers.out, core.stats().total.bytesQueued]).toEqual([0, 0]);
    }),
    { numRuns: 50 },
  );
  await core.stop(0);
});
