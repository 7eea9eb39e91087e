// Misuse of the public API, at random: calls in the wrong order, after the end, with arguments that are none. Whatever they
// throw, the process lives, bystanders are served, and the core stops empty. docs/SAFETY.md says what each one does.

import { BlockList } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { Core } from '@overlapped/net-core/internal';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  DatagramSession,
  delimited,
  type Framer,
  fixedLength,
  framed,
  type Listener,
  lengthPrefixed,
  lines,
  type Session,
} from '../src/index.js';
import { closing, deferred, dial, listen, onEachBackend, peerOf, read, withCore } from './support.js';

const detached = (): Uint8Array => {
  const bytes = new Uint8Array(40_000);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
};
// Some make sense, some do not; all are handed over as if they did.
const odd = fc.constantFrom<() => unknown>(
  () => undefined,
  () => null,
  () => -1,
  () => Number.NaN,
  () => 2 ** 53,
  () => '',
  () => 'text',
  () => ({ length: -5 }),
  () => ({ path: '\0' }),
  () => ({ address: '1.2.3.4.5', family: 4, port: 70_000 }),
  () => new Uint8Array(0),
  () => Buffer.alloc(100_000, 1),
  () => new Float64Array(8),
  () => new DataView(new ArrayBuffer(8)),
  detached,
  () => new Error('odd'),
  () => () => {},
);
const SESSION = [
  'send',
  'sendFile',
  'end',
  'destroy',
  'pause',
  'resume',
  'setNoDelay',
  'setKeepAlive',
  'join',
] as const;
const MORE = ['leave', 'toDuplex', 'toWeb'] as const;
const call = fc.record({
  target: fc.constantFrom('session', 'session', 'session', 'datagram', 'listener', 'port', 'core', 'turn'),
  choice: fc.nat(1000),
  arguments: fc.array(odd, { maxLength: 3 }),
});

type Target = Record<string, (...args: unknown[]) => unknown>;

/** Makes a call; what it throws, or what its promise rejects with, is an answer. */
function attempt(target: object | undefined, name: string, makers: (() => unknown)[]): void {
  try {
    const given = makers.map((make) => make());
    // No grace, or an endless one, is a wait that somebody asked for.
    if (name === 'stop' && (given[0] === undefined || given[0] === 2 ** 53)) given[0] = 20;
    const result = (target as Target | undefined)?.[name]?.(...given);
    if (result instanceof Promise) result.catch(() => {});
    const stream = result as { on?: (event: string, listener: () => void) => void } | undefined;
    if (name === 'toDuplex') stream?.on?.('error', () => {});
  } catch {}
}

onEachBackend((backend) => {
  test('calls in any order with any arguments leave a core that stops empty', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 5, maxLength: 40 }), async (calls) => {
        const core = new Core({ backend, threads: 0, maxSessions: 16 });
        const opened = deferred<Session>();
        const onConnected = (session: Session) => opened.resolve(session);
        const onReceive = (session: Session, data: Buffer) => session.send(data);
        const listener = await listen(core, { session: { onConnected, onReceive } });
        const datagram = await DatagramSession.bind(core, { host: '127.0.0.1', port: 0, session: {} });
        const peer = dial(listener);
        peer.on('data', () => {});
        const session = await opened.promise;
        const targets: Record<string, [object, readonly string[]]> = {
          session: [session, [...SESSION, ...MORE]],
          datagram: [datagram, ['send', 'destroy', 'send']],
          listener: [listener, ['stop']],
          port: [core.port, ['release', 'retain', 'bufferOf', 'allocate', 'adopt']],
          core: [core, ['stop']],
        };
        for (const { target, choice, arguments: makers } of calls) {
          const [object, names] = targets[target] ?? [];
          if (names === undefined) await turn();
          else attempt(object, names[choice % names.length]!, makers);
        }
        peer.destroy();
        await core.stop(200);
        expect(core.port.stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0 });
      }),
      { numRuns: 40 },
    );
  });

  test('an array whose memory is taken away while it waits ends its session, and nothing else is sent for it', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const over = deferred<Error | undefined>();
      const listener = await listen(core, {
        session: {
          onConnected: (session) => {
            const bytes = new Uint8Array(1_000_000);
            session.send(bytes);
            structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
          },
          onDisconnected: (_, error) => over.resolve(error),
        },
      });
      const peer = dial(listener);
      let got = 0;
      peer.on('data', (data) => {
        got += data.length;
      });
      await closing(peer);
      expect(await over.promise).toMatchObject({ name: 'IocpError', code: 'EFAULT' });
      expect(got).toBe(0);
    });
  });

  test('what is neither text nor bytes is refused, and the session goes on', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const onReceive = (session: Session, data: Buffer): void => {
        for (const bad of [null, 5, { length: -5 }, new Float64Array(1), new DataView(new ArrayBuffer(1))]) {
          expect(() => session.send(bad as never)).toThrow(TypeError);
        }
        session.send(data);
      };
      const peer = await peerOf(await listen(core, { session: { onReceive } }));
      peer.write('fine');
      expect(String(await read(peer, 4))).toBe('fine');
      peer.destroy();
    });
  });

  test('a datagram to what is no address throws, and costs no event and no buffer', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const session = await DatagramSession.bind(core, { host: '127.0.0.1', port: 0, session: {} });
      const before = [core.events.out, core.sendBuffers.out];
      const to = { address: '1.2.3.4.5', family: 4, port: 1 } as const;
      expect(() => session.send('lost', to)).toThrow('is not an IPv4 address');
      expect([core.events.out, core.sendBuffers.out]).toEqual(before);
      await session.destroy();
    });
  });

  const framers: [string, Framer][] = [
    ['lengthPrefixed', lengthPrefixed()],
    ['fixedLength', fixedLength(7)],
    ['delimited', delimited(Buffer.from([1, 2]), { maxFrameLength: 100 })],
    ['lines', lines({ maxFrameLength: 100 })],
  ];
  const noise = fc.array(fc.uint8Array({ maxLength: 2000, size: 'max' }), { minLength: 1, maxLength: 4 });

  test.each(framers)(
    'random bytes to a session with a framer (%s) end no more than that session',
    async (_, framer) => {
      await withCore({ backend, threads: 0 }, async (core) => {
        const listener = await listen(core, {
          session: framed(framer, { onPacket: (s, frame) => s.sendPacket(frame) }),
        });
        await attack(listener, noise);
      });
    },
  );

  test('random bytes to a listener that expects PROXY headers end no more than their connection', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const trusted = new BlockList();
      trusted.addAddress('127.0.0.1');
      const onReceive = (session: Session, data: Buffer) => session.send(data);
      const listener = await listen(core, { session: { onReceive }, proxy: { trusted } });
      const starts = fc.constantFrom(
        '',
        'PROXY ',
        'PROXY TCP4 1.2.3.4 ',
        '\r\n\r\n\0\r\nQUIT\n!\x11\0',
        '\r\n\r\n\0\r\nQUIT\n!\x21\xff\xff',
      );
      const headed = fc.tuple(starts, noise).map(([start, rest]) => [Buffer.from(start, 'latin1'), ...rest]);
      await attack(listener, headed);
      const peer = await peerOf(listener);
      peer.write('PROXY TCP4 1.2.3.4 10.0.0.1 1 2\r\nhello');
      expect(String(await read(peer, 5))).toBe('hello');
      peer.destroy();
    });
  });
});

/** Sends each of these to a connection of its own, which has to come to its end. */
async function attack(listener: Listener, bytes: fc.Arbitrary<Uint8Array[]>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(bytes, async (pieces) => {
      const peer = dial(listener);
      peer.on('data', () => {});
      const gone = closing(peer);
      for (const piece of pieces) peer.write(piece);
      peer.end();
      await gone;
    }),
    { numRuns: 60 },
  );
}
