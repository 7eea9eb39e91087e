// What a datagram session promises, against node:dgram.

import { AssertionError } from 'node:assert';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Endpoint } from '@overlapped/iocp-native';
import { onCompletion } from '@overlapped/net-core/internal';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type DatagramHandlers, DatagramSession } from '../src/index.js';
import { deferred, listen, onEveryBackend, pattern, peerOf, read, withCore } from './support.js';

const LOCAL = { host: '127.0.0.1', port: 0 };

onEveryBackend((backend) => {
  const inCore = (use: Parameters<typeof withCore>[1]) => withCore({ backend }, use);

  test.each([0, 1, 1200, 8192])('echoes messages of %i bytes', async (length) => {
    await inCore(async (core) => {
      const server = await DatagramSession.bind(core, { ...LOCAL, session: echo });
      const peer = await bindPeer();
      const message = pattern(length);
      peer.raw.send(message, server.local.port, server.local.address);
      const { bytes, port } = await peer.next();
      expect(bytes.equals(message)).toBe(true);
      expect(port).toBe(server.local.port);
    });
  });

  test('a subclass and an object of handlers see the same calls', async () => {
    await inCore(async (core) => {
      const logs: string[][] = [[], []];
      class Recorder extends DatagramSession {
        override onMessage(data: Buffer, from: Endpoint) {
          logs[0]!.push(`${data} from ${from.port}`);
          this.send(data, from);
        }
        override onDisconnected(error?: Error) {
          logs[0]!.push(`closed ${error}`);
        }
      }
      const handlers: DatagramHandlers = {
        onMessage(session, data, from) {
          logs[1]!.push(`${data} from ${from.port}`);
          session.send(data, from);
        },
        onDisconnected: (_, error) => logs[1]!.push(`closed ${error}`),
      };
      const peer = await bindPeer();
      for (const session of [Recorder, handlers]) {
        const server = await DatagramSession.bind(core, { ...LOCAL, session });
        peer.raw.send('hello', server.local.port, server.local.address);
        expect(String((await peer.next()).bytes)).toBe('hello');
        await server.destroy();
      }
      expect(logs[0]).toEqual([`hello from ${peer.port}`, 'closed undefined']);
      expect(logs[1]).toEqual(logs[0]);
    });
  });

  test('many peers each get their own answers, and the stats add up', async () => {
    await inCore(async (core) => {
      const server = await DatagramSession.bind(core, { ...LOCAL, session: echo });
      const peers = await Promise.all(Array.from({ length: 20 }, () => bindPeer()));
      for (let round = 0; round < 5; round++) {
        for (const { raw, port } of peers) {
          raw.send(`${port} ${round}`, server.local.port, server.local.address);
        }
        for (const peer of peers) expect(String((await peer.next()).bytes)).toBe(`${peer.port} ${round}`);
      }
      await server.destroy();
      expect(server.stats).toEqual({ received: 100, sent: 100, dropped: 0, failed: 0, truncated: 0 });
      const { bytesReceived, bytesSent, bytesQueued } = core.stats().own;
      expect([bytesReceived > 0, bytesSent, bytesQueued]).toEqual([true, bytesReceived, 0]);
    });
  });

  test('messages share send buffers, and each arrives as it was', async () => {
    await inCore(async (core) => {
      const server = await DatagramSession.bind(core, { ...LOCAL, session: {} });
      const peer = await bindPeer();
      const to = peer.endpoint;
      for (let round = 0; round < 5; round++) {
        const bytes = Buffer.alloc(300);
        for (let i = 0; i < 100; i++) {
          bytes.fill(i);
          expect(server.send(bytes, to)).toBe(true);
        }
        expect(core.sendBuffers.out).toBe(2);
        for (let i = 0; i < 100; i++) expect((await peer.next()).bytes).toEqual(Buffer.alloc(300, i));
        while (core.sendBuffers.out > 0) await new Promise(setImmediate);
      }
      const longest = pattern(16_384);
      server.send(longest, to);
      expect((await peer.next()).bytes.equals(longest)).toBe(true);
      expect(() => server.send(pattern(16_385), to)).toThrow(RangeError);
      expect(() => server.send('to nobody')).toThrow(AssertionError);
    });
  });

  test('what finds no room is dropped and counted, and later messages are sent', async () => {
    await inCore(async (core) => {
      const server = await DatagramSession.bind(core, { ...LOCAL, session: {} });
      const sink = await bindPeer();
      const peer = await bindPeer();
      let taken = 0;
      for (let i = 0; i < 5000; i++) if (server.send('x', sink.endpoint)) taken++;
      expect(taken).toBe(4096);
      expect(server.stats.dropped).toBe(5000 - taken);
      while (!server.send('later', peer.endpoint)) await new Promise(setImmediate);
      expect(String((await peer.next()).bytes)).toBe('later');
    });
  });

  test('however much is on its way, sessions find their events', async () => {
    await withCore({ backend, maxSessions: 2 }, async (core) => {
      const sink = await bindPeer();
      const bind = () => DatagramSession.bind(core, { ...LOCAL, session: {} });
      for (const server of [await bind(), await bind(), await bind()]) while (server.send('x', sink.endpoint));
      const listener = await listen(core, { session: { onReceive: (session, data) => session.send(data) } });
      const peers = await Promise.all([peerOf(listener), peerOf(listener)]);
      for (const peer of peers) {
        peer.write('both');
        expect(String(await read(peer, 4))).toBe('both');
        peer.destroy();
      }
    });
  });

  test('without a free send buffer messages are dropped', async () => {
    await inCore(async (core) => {
      const server = await DatagramSession.bind(core, { ...LOCAL, session: {} });
      const peer = await bindPeer();
      const taken: number[] = [];
      for (let buffer = core.sendBuffers.acquire(); buffer >= 0; buffer = core.sendBuffers.acquire()) {
        taken.push(buffer);
      }
      expect(server.send('no room', peer.endpoint)).toBe(false);
      expect(server.stats.dropped).toBe(1);
      for (const buffer of taken) core.releaseSendBuffer(buffer);
      expect(server.send('room', peer.endpoint)).toBe(true);
      expect(String((await peer.next()).bytes)).toBe('room');
    });
  });

  test('a message of more than 8192 bytes is dropped and counted, and the next one comes', async () => {
    await inCore(async (core) => {
      const server = await DatagramSession.bind(core, { ...LOCAL, session: echo });
      const peer = await bindPeer();
      peer.raw.send(pattern(9000), server.local.port, server.local.address);
      peer.raw.send('next', server.local.port, server.local.address);
      expect(String((await peer.next()).bytes)).toBe('next');
      expect(server.stats).toMatchObject({ received: 1, truncated: 1 });
    });
  });

  test('a message that is no answer to anybody at hand goes to any address', async () => {
    await inCore(async (core) => {
      const [there, here] = [await bindPeer(), await bindPeer()];
      // What is borrowed may go to somebody else, and to several.
      const server = await DatagramSession.bind(core, {
        ...LOCAL,
        session: {
          onMessage(session, data) {
            session.send(data, there.endpoint);
            session.send(data, here.endpoint);
          },
        },
      });
      here.raw.send('to both', server.local.port, server.local.address);
      for (const peer of [there, here]) expect(String((await peer.next()).bytes)).toBe('to both');
      await server.destroy();
      expect(core.port.stats.buffersOut).toBe(0);
    });
  });

  describe('connected', () => {
    test('has one peer, and needs no address', async () => {
      await inCore(async (core) => {
        const peer = await bindPeer();
        const got = deferred<string>();
        const client = await DatagramSession.connect(core, {
          host: '127.0.0.1',
          port: peer.port,
          session: { onMessage: (_, data, from) => got.resolve(`${data} from ${from.port}`) },
        });
        client.send('ping');
        const { bytes, port } = await peer.next();
        expect(String(bytes)).toBe('ping');
        expect(port).toBe(client.local.port);
        peer.raw.send('pong', port, '127.0.0.1');
        expect(await got.promise).toBe(`pong from ${peer.port}`);
        expect(() => client.send('ping', peer.endpoint)).toThrow(AssertionError);
      });
    });

    test('closes with ECONNREFUSED when nobody is there', async () => {
      await inCore(async (core) => {
        const peer = await bindPeer();
        await peer.close();
        const over = deferred<Error | undefined>();
        const client = await DatagramSession.connect(core, {
          host: '127.0.0.1',
          port: peer.port,
          session: { onDisconnected: (_, error) => over.resolve(error) },
        });
        let closed: Error | undefined;
        void over.promise.then((error) => {
          closed = error;
        });
        while (closed === undefined) {
          client.send('anybody?');
          await new Promise(setImmediate);
        }
        expect(closed).toMatchObject({ code: 'ECONNREFUSED' });
        expect(client.send('more')).toBe(false);
      });
    });
  });

  describe('ending', () => {
    const failures: Record<string, DatagramHandlers> = {
      'onMessage throws': { onMessage: () => fail() },
      'onMessage rejects': { onMessage: async () => fail() },
    };
    function fail(): never {
      throw new Error('as planned');
    }
    test.each(Object.entries(failures))('%s: a close afterwards has no error, and comes once', async (_, bad) => {
      await inCore(async (core) => {
        const closed: (Error | undefined)[] = [];
        const heard = deferred();
        const session: DatagramHandlers = {
          onMessage: (session, data, from) => {
            heard.resolve();
            return bad.onMessage!(session, data, from);
          },
          onDisconnected: (_, error) => void closed.push(error),
        };
        const failing = await DatagramSession.bind(core, { ...LOCAL, session });
        const peer = await bindPeer();
        peer.raw.send('x', failing.local.port, failing.local.address);
        await heard.promise;
        await failing.destroy();
        expect(closed).toEqual([undefined]);
      });
    });

    test('core.stop() ends it, with messages on their way; onDisconnected comes once', async () => {
      let closed = 0;
      await inCore(async (core) => {
        const server = await DatagramSession.bind(core, { ...LOCAL, session: { onDisconnected: () => closed++ } });
        const peer = await bindPeer();
        for (let i = 0; i < 100; i++) server.send('x', peer.endpoint);
        peer.raw.send('never read', server.local.port, server.local.address);
        await core.stop();
        await server.destroy();
        expect(server.send('x', peer.endpoint)).toBe(false);
      });
      expect(closed).toBe(1);
    });

    test('a throw in onDisconnected is a warning and nothing more', async () => {
      await inCore(async (core) => {
        const warned = once(process, 'warning');
        const server = await DatagramSession.bind(core, { ...LOCAL, session: { onDisconnected: () => fail() } });
        await server.destroy();
        expect((await warned)[0].message).toBe('onDisconnected of a datagram session failed: Error: as planned');
        expect(core.stats().total.failed).toBe(1);
      });
    });

    test('an address in use rejects with EADDRINUSE, and a core without events with ENOBUFS', async () => {
      await withCore({ backend, maxSessions: 1 }, async (core) => {
        const { local } = await DatagramSession.bind(core, { ...LOCAL, session: {} });
        const again = { host: local.address, port: local.port, session: {} };
        await expect(DatagramSession.bind(core, again)).rejects.toMatchObject({ code: 'EADDRINUSE' });
        const owner = { [onCompletion]() {} };
        const events = [];
        const { datagramEvents } = core;
        for (let event = datagramEvents.acquire(owner, 3); event; event = datagramEvents.acquire(owner, 3))
          events.push(event);
        await expect(DatagramSession.bind(core, { ...LOCAL, session: {} })).rejects.toMatchObject({ code: 'ENOBUFS' });
        for (const event of events) datagramEvents.release(event);
      });
    });
  });
});

const echo: DatagramHandlers = { onMessage: (session, data, from) => session.send(data, from) };

interface Message {
  readonly bytes: Buffer;
  readonly port: number;
}

/** A peer over node:dgram, until the test ends at the latest. */
class Peer {
  readonly raw: Socket;
  readonly endpoint: Endpoint;
  readonly #messages: Message[] = [];
  #arrived = deferred();
  #closed: Promise<void> | undefined;

  constructor(raw: Socket) {
    this.raw = raw;
    this.endpoint = { address: '127.0.0.1', family: 4, port: raw.address().port };
    raw.on('message', (bytes, { port }) => {
      this.#messages.push({ bytes, port });
      this.#arrived.resolve();
      this.#arrived = deferred();
    });
  }

  get port(): number {
    return this.endpoint.port;
  }

  async next(): Promise<Message> {
    while (this.#messages.length === 0) await this.#arrived.promise;
    return this.#messages.shift()!;
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => this.raw.close(resolve));
    return this.#closed;
  }
}

async function bindPeer(): Promise<Peer> {
  const raw = createSocket('udp4');
  await new Promise<void>((resolve) => raw.bind(0, '127.0.0.1', resolve));
  const peer = new Peer(raw);
  onTestFinished(() => peer.close());
  return peer;
}
