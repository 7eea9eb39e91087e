// What becomes of an error that user code throws: it is counted, published, told once unless there is a handler that gets it,
// and takes no more with it than its own session or message.

import { createSocket, type Socket } from 'node:dgram';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { runInNewContext } from 'node:vm';
import type { Core } from '@overlapped/net-core/internal';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { warn } from '../src/failures.js';
import {
  Connector,
  DatagramSession,
  fixedLength,
  framed,
  lines,
  Session,
  type SessionHandlers,
  type SessionKind,
} from '../src/index.js';
import { closing, deferred, dial, listen, onEachBackend, peerOf, withCore } from './support.js';

const CHANNEL = 'overlapped:session-failed';
const LOCAL = { host: '127.0.0.1', port: 0 };

interface Warning extends Error {
  readonly code: string;
  readonly detail: string;
}

/** Warnings of ours, from now on until the test ends. */
function collectWarnings(): { all: Warning[]; next: () => Promise<Warning> } {
  const all: Warning[] = [];
  let taken = 0;
  let arrived = () => {};
  const onWarning = (warning: Error): void => {
    if (warning.name !== 'OverlappedWarning') return;
    all.push(warning as Warning);
    arrived();
  };
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  const next = async (): Promise<Warning> => {
    while (all.length === taken) await new Promise<void>((resolve) => (arrived = resolve));
    return all[taken++]!;
  };
  return { all, next };
}

/** What the channel publishes of a core, until the test ends. */
function collectPublished(core: Core): { session: unknown; error: Error }[] {
  const published: { session: unknown; error: Error }[] = [];
  const onPublished = (message: unknown): void => {
    const { core: of, session, error } = message as { core: Core; session: unknown; error: Error };
    if (of === core) published.push({ session, error });
  };
  subscribe(CHANNEL, onPublished);
  onTestFinished(() => void unsubscribe(CHANNEL, onPublished));
  return published;
}

class Bug extends Session {
  override onReceive() {
    throw new TypeError('as planned');
  }
}

const bugs: Record<string, SessionKind> = {
  'a handler that throws': { onReceive: () => bug() },
  'a handler that rejects': { onReceive: async () => bug() },
  'a subclass that throws': Bug,
  'a frame handler that throws': framed(fixedLength(1), { onPacket: () => bug() }),
  'a frame handler that rejects': framed(fixedLength(1), { onPacket: async () => bug() }),
  'onConnected that throws': { onConnected: () => bug() },
  'onSend that throws': { onReceive: (session, data) => session.send(data), onSend: () => bug() },
};

function bug(): never {
  throw new TypeError('as planned');
}

onEachBackend((backend) => {
  const inCore = (use: Parameters<typeof withCore>[1]) => withCore({ backend, threads: 0 }, use);

  describe('sessions', () => {
    test.each(Object.entries(bugs))('%s is told once, with its stack, and is counted', async (_, session) => {
      await inCore(async (core) => {
        const { all, next } = collectWarnings();
        const published = collectPublished(core);
        const peer = dial(await listen(core, { session }));
        const gone = closing(peer.resume());
        peer.write('x');
        await gone;
        const { message, code, detail } = await next();
        expect(message).toBe('A session was closed, as its handler failed: TypeError: as planned');
        expect(code).toBe('OVERLAPPED_FAILED');
        expect(detail).toContain('failures.test.ts');
        expect(core.stats().total).toMatchObject({ failed: 1, ended: 1 });
        expect(published).toMatchObject([{ session: expect.any(Session), error: { message: 'as planned' } }]);
        expect(all).toHaveLength(1);
      });
    });

    test('with a handler for the end no warning is told; it is counted and published all the same', async () => {
      await inCore(async (core) => {
        const { all } = collectWarnings();
        const published = collectPublished(core);
        const over = deferred<Error | undefined>();
        const session = { onReceive: () => bug(), onDisconnected: (_: Session, error?: Error) => over.resolve(error) };
        const peer = await peerOf(await listen(core, { session }));
        peer.write('x');
        const error = await over.promise;
        expect(error).toBeInstanceOf(TypeError);
        expect(published.map((message) => message.error)).toEqual([error]);
        expect(core.stats().total.failed).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        expect(all).toEqual([]);
      });
    });

    test('what an async handler throws after its session is over is told, whoever gets the end', async () => {
      await inCore(async (core) => {
        const { next } = collectWarnings();
        const heard = deferred();
        const over = deferred();
        const listener = await listen(core, {
          session: {
            onReceive: async () => {
              heard.resolve();
              await over.promise;
              bug();
            },
            onDisconnected: () => over.resolve(),
          },
        });
        const peer = await peerOf(listener);
        peer.write('x');
        await heard.promise;
        peer.resetAndDestroy();
        expect((await next()).message).toContain('A handler failed when its session was over');
        expect(core.stats().total.failed).toBe(1);
      });
    });

    test('what the end of its own session makes a handler throw is no failure', async () => {
      await inCore(async (core) => {
        const { all } = collectWarnings();
        const ended = deferred();
        const read = async (session: Session): Promise<void> => {
          try {
            for await (const _ of session);
          } finally {
            ended.resolve();
          }
        };
        const listener = await listen(core, { session: { onConnected: read } });
        const peer = await peerOf(listener);
        peer.resetAndDestroy();
        await ended.promise;
        await new Promise((resolve) => setImmediate(resolve));
        expect(core.stats().total).toMatchObject({ failed: 0, ended: 1 });
        expect(all).toEqual([]);
      });
    });

    test('bytes that make no frame are no failure of a handler', async () => {
      await inCore(async (core) => {
        const { all } = collectWarnings();
        const over = deferred<Error | undefined>();
        const framer = lines({ maxFrameLength: 4 });
        const session = framed(framer, { onDisconnected: (_, error) => over.resolve(error) });
        const peer = await peerOf(await listen(core, { session }));
        peer.write('longer than that');
        expect(await over.promise).toMatchObject({ code: 'EMSGSIZE' });
        expect(core.stats().total.failed).toBe(0);
        expect(all).toEqual([]);
      });
    });

    test('a handler that fails after toDuplex() ends its session, and not the process', async () => {
      await inCore(async (core) => {
        const { next } = collectWarnings();
        const taken = await listen(core, { session: {} });
        const { port } = taken.endpoint;
        await taken.stop();
        const upstream = new Connector(core, { session: {} });
        const listener = await listen(core, {
          session: {
            async onConnected(session) {
              const down = session.toDuplex();
              const up = (await upstream.connect({ host: '127.0.0.1', port })).toDuplex();
              await Promise.all([pipeline(down, up), pipeline(up, down)]);
            },
          },
        });
        await closing(dial(listener).resume());
        expect((await next()).message).toContain('ECONNREFUSED');
      });
    });

    test('a throw in onDisconnected is told and counted, and nothing more', async () => {
      await inCore(async (core) => {
        const { next } = collectWarnings();
        const peer = await peerOf(await listen(core, { session: { onDisconnected: () => bug() } }));
        peer.destroy();
        expect((await next()).message).toBe('onDisconnected failed: TypeError: as planned');
        expect(core.stats().total.failed).toBe(1);
      });
    });

    const thrown: [string, () => unknown, object][] = [
      [
        'an error of another realm',
        foreign('Object.assign(new TypeError("far"), { code: "E_FAR" })'),
        { code: 'E_FAR' },
      ],
      ['a class of errors that is none', () => ({ name: 'Odd', message: 'odd', code: 'E_ODD' }), { code: 'E_ODD' }],
      ['a text', () => 'just a text', { message: 'a handler threw just a text', cause: 'just a text' }],
      ['what has no text', () => Object.create(null), { message: 'a handler threw what has no text' }],
    ];
    test.each(thrown)('%s that a handler throws comes to onDisconnected', async (_, make, what) => {
      await inCore(async (core) => {
        const over = deferred<Error | undefined>();
        const session: SessionHandlers = {
          onReceive: () => {
            throw make();
          },
          onDisconnected: (_, error) => over.resolve(error),
        };
        const peer = await peerOf(await listen(core, { session }));
        peer.write('x');
        expect(await over.promise).toMatchObject(what);
      });
    });
  });

  describe('datagrams', () => {
    test.each([
      ['throws', () => bug()],
      ['rejects', async () => bug()],
    ])('a handler that %s drops its message, is told, and everybody is served on', async (_, fail) => {
      await inCore(async (core) => {
        const { next } = collectWarnings();
        const published = collectPublished(core);
        const server = await DatagramSession.bind(core, {
          ...LOCAL,
          session: { onMessage: (session, data, from) => (String(data) === 'bad' ? fail() : session.send(data, from)) },
        });
        const peer = udpPeer();
        for (const message of ['bad', 'good']) peer.send(message, server.local.port, server.local.address);
        expect(String((await once(peer, 'message'))[0])).toBe('good');
        const { message, detail } = await next();
        expect(message).toContain('The handler of a datagram session failed, and its message was dropped: TypeError');
        expect(detail).toContain('failures.test.ts');
        expect(published).toMatchObject([{ session: server, error: { message: 'as planned' } }]);
        expect(core.stats().total.failed).toBe(1);
      });
    });

    test('what an async handler throws after the close is told', async () => {
      await inCore(async (core) => {
        const { next } = collectWarnings();
        const heard = deferred();
        const closed = deferred();
        const onMessage = async (): Promise<void> => {
          heard.resolve();
          await closed.promise;
          bug();
        };
        const server = await DatagramSession.bind(core, { ...LOCAL, session: { onMessage } });
        const peer = udpPeer();
        peer.send('x', server.local.port, server.local.address);
        await heard.promise;
        await server.destroy();
        closed.resolve();
        expect((await next()).message).toContain('as planned');
        expect(core.stats().total.failed).toBe(1);
      });
    });
  });
});

test('ten warnings a second; the next one says how many were left out', async () => {
  let now = 1000;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  onTestFinished(() => clock.mockRestore());
  const core = {} as Core;
  const { all, next } = collectWarnings();
  for (let i = 0; i < 25; i++) warn(core, 'It failed', new Error(`${i}`));
  warn({} as Core, 'Another failed', new Error('of another core'));
  for (let i = 0; i < 11; i++) await next();
  expect(all.map(({ message }) => message).slice(9)).toEqual([
    'It failed: Error: 9',
    'Another failed: Error: of another core',
  ]);
  now += 1000;
  warn(core, 'It failed', new Error('later'));
  expect((await next()).message).toBe('It failed: Error: later (and 15 warnings before this one, which were left out)');
});

/** A peer over node:dgram, until the test ends. */
function udpPeer(): Socket {
  const peer = createSocket('udp4');
  onTestFinished(() => void peer.close());
  return peer;
}

function foreign(expression: string): () => unknown {
  return () => runInNewContext(expression);
}
