// Wrong options, which JavaScript does not refuse: each gives an error when it is given, and nothing is left open.

import { once } from 'node:events';
import net, { BlockList } from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  ClientService,
  Connector,
  DatagramSession,
  delimited,
  fixedLength,
  framed,
  Listener,
  lengthPrefixed,
  lines,
  PacketSession,
  Session,
} from '../src/index.js';
import { onEachBackend, read, withCore } from './support.js';

const base = { host: '127.0.0.1', port: 0, session: {} };

/** Of listen(): what it is given beside `base`, and what it says. */
const listening: [options: object, message: string | RegExp][] = [
  [{ session: undefined }, 'session, module or shared must be given'],
  [{ session: () => {} }, 'session must be a subclass of Session, or an object of handlers, not a function'],
  [{ session: class {} }, 'session must be a subclass of Session'],
  [{ session: 5 }, 'session must be an object, not 5'],
  [{ session: { onRecieve() {} } }, "unknown handler 'session.onRecieve'; did you mean 'session.onReceive'?"],
  [{ session: { onData() {} } }, /^unknown handler 'session.onData'/],
  [{ session: { onReceive: 'x' } }, 'session.onReceive must be a function, not "x"'],
  [{ module: new URL('file:///x.mjs') }, 'module must be absent where there is a session'],
  [{ port: '80' }, 'port must be a whole number from 0 to 65535, not "80"'],
  [{ port: undefined }, 'port must be given'],
  [{ host: 42 }, 'host must be a string, not 42'],
  [{ host: '' }, 'host must be a string that is not empty'],
  [{ path: '/tmp/x', host: undefined }, /^unknown option 'port'/],
  [{ path: '', host: undefined, port: undefined }, 'path must be a string that is not empty'],
  ...[Number.NaN, -1, 0.5, 1e308].map((backlog): [object, string] => [{ backlog }, 'backlog must be a whole number']),
  [{ backlog: 10n }, 'backlog must be a whole number from 0 to 2147483647, not 10n'],
  ...[Number.NaN, -1, 0.5, 'x'].map((keepAlive): [object, string] => [{ keepAlive }, 'keepAlive must be']),
  [{ keepAlive: true }, 'keepAlive must be a number of seconds, or an object, not true'],
  [{ keepAlive: { idle: 1, interval: 0 } }, 'keepAlive.interval must be a whole number from 1 to 32767, not 0'],
  ...[Number.NaN, -1, 0.5].map((size): [object, string] => [{ sendBufferSize: size }, 'sendBufferSize must be']),
  [{ tos: 256 }, 'tos must be a whole number from 0 to 255, not 256'],
  [{ noDelay: 5 }, 'noDelay must be true or false, not 5'],
  [{ maxSessions: 0 }, 'maxSessions must be a number from 1, not 0'],
  [{ maxSessions: '10' }, 'maxSessions must be a number from 1, not "10"'],
  [{ rate: 5 }, 'rate must be an object, not 5'],
  [{ rate: { perSecond: 5, burst: 10n } }, 'rate.burst must be a number from 1, not 10n'],
  [{ whenFull: 'queue' }, 'whenFull must be "refuse" or "wait", not "queue"'],
  [{ allow: '127.0.0.1' }, 'allow must be a BlockList, or an array of addresses and ranges, not "127.0.0.1"'],
  [
    { deny: ['nowhere'] },
    'deny must be a BlockList, or an array of addresses and ranges like "10.0.0.0/8", not "nowhere"',
  ],
  [{ deny: ['10.0.0.0/33'] }, 'not "10.0.0.0/33"'],
  [{ deny: ['10.0.0.0/'] }, 'not "10.0.0.0/"'],
  [{ deny: [5] }, 'like "10.0.0.0/8", not 5'],
  [{ proxy: true }, 'proxy must be an object, not true'],
  [{ proxy: {} }, 'proxy.trusted must be'],
  [{ proxy: { trusted: {} } }, 'proxy.trusted must be a BlockList'],
  [{ timeouts: { read: -5 } }, 'timeouts.read must be a number above 0, not -5'],
  [{ timeouts: { idle: 5 } }, /^unknown option 'timeouts.idle'; there are read, write, firstByte, frame/],
  [{ queueLimit: { perSession: 1000, beyond: 'block' } }, 'queueLimit.beyond must be "close" or "drop" or "pause"'],
  [{ linger: -1 }, 'linger must be a number from 0, not -1'],
  [{ watermarks: {} }, /^unknown option 'watermarks'/],
  [{ highWaterMark: 5 }, "unknown option 'highWaterMark'; did you mean 'highWatermark'?"],
];

const any = (value: unknown) => value as never;

onEachBackend((backend) => {
  test('a listener says what is wrong, and the next one listens', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      for (const [options, message] of listening) {
        await expect(Listener.listen(core, any({ ...base, ...options })), String(message)).rejects.toThrow(message);
      }
      expect(core.port.stats.sockets).toBe(0);
      // Undefined is as good as absent.
      await Listener.listen(core, any({ ...base, module: undefined, path: undefined, backlog: undefined }));
    });
  });

  test.each([2 ** 31, 2 ** 32 - 1, 2 ** 40, Number.POSITIVE_INFINITY])(
    'a high watermark of %s has a low one',
    async (highWatermark) => {
      await withCore({ backend, threads: 0 }, async (core) => {
        await Listener.listen(core, { ...base, highWatermark });
        expect(
          () => new Connector(core, { session: {}, highWatermark, lowWatermark: highWatermark / 4 }),
        ).not.toThrow();
      });
    },
  );

  test('a connector, a service and a datagram session do, too', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      expect(() => new Connector(core, any(undefined))).toThrow('the options must be an object');
      expect(() => new Connector(core, any({}))).toThrow('session must be given');
      expect(() => new Connector(core, any({ session: {}, timeout: 5 }))).toThrow("did you mean 'timeouts'?");
      const connector = new Connector(core, { session: {} });
      for (const [to, options, message] of [
        [undefined, {}, 'the target must be an object, not undefined'],
        [{ path: 5 }, {}, 'path must be a string, not 5'],
        [{ host: '127.0.0.1' }, {}, 'port must be given'],
        [{ host: '127.0.0.1', port: '80' }, {}, 'port must be a whole number'],
        [{ host: '127.0.0.1', port: 80 }, { signal: {} }, 'signal must be an AbortSignal, not an object'],
        [{ host: '127.0.0.1', port: 80 }, { timeout: 10n }, 'timeout must be a number above 0, not 10n'],
        [{ host: '127.0.0.1', port: 80 }, { retries: 3 }, "unknown option 'retries'"],
      ] as const) {
        await expect(connector.connect(any(to), any(options)), message).rejects.toThrow(message);
      }
      const target = { host: '127.0.0.1', port: 1 };
      expect(() => new ClientService(core, any({ session: {} }))).toThrow('target must be given');
      expect(() => new ClientService(core, any({ session: {}, target: { host: 'x' } }))).toThrow('port must be given');
      expect(() => new ClientService(core, any({ session: {}, target, count: 10n }))).toThrow('count must be');
      expect(() => new ClientService(core, any({ session: {}, target, backOff: { first: 'x' } }))).toThrow(
        'backOff.first',
      );
      expect(() => new ClientService(core, any({ session: {}, target, onReconecting() {} }))).toThrow('onReconnecting');
      await expect(DatagramSession.bind(core, any({ port: 0 }))).rejects.toThrow('session must be given');
      await expect(DatagramSession.bind(core, any({ port: 0, session: Session }))).rejects.toThrow('DatagramSession');
      await expect(DatagramSession.bind(core, any({ port: 0, session: { onMesage() {} } }))).rejects.toThrow(
        "did you mean 'session.onMessage'?",
      );
      await expect(DatagramSession.connect(core, any({ port: 1, session: {} }))).rejects.toThrow('host must be given');
      expect(core.port.stats.sockets).toBe(0);
    });
  });

  describe('lists of addresses', () => {
    test.each<[string[], boolean]>([
      [['203.0.113.7', '10.0.0.0/8', '::1'], false],
      [['127.0.0.0/8'], true],
      [['127.0.0.1'], true],
    ])('deny: %j, an array as a BlockList', async (deny, isDenied) => {
      const same = new BlockList();
      for (const each of deny) {
        const [address, bits] = each.split('/');
        const family = address!.includes(':') ? 'ipv6' : 'ipv4';
        if (bits) same.addSubnet(address!, Number(bits), family);
        else same.addAddress(address!, family);
      }
      await withCore({ backend, threads: 0 }, async (core) => {
        for (const list of [deny, same]) {
          const session = { onReceive: (one: Session, data: Buffer) => one.send(data) };
          const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, session, deny: list });
          const peer = net.connect(endpoint.port, '127.0.0.1');
          peer.write('hi');
          const outcome = await Promise.race([
            read(peer, 2).then(
              () => 'served',
              () => 'denied',
            ),
            once(peer, 'error').then(() => 'denied'),
          ]);
          expect(outcome).toBe(isDenied ? 'denied' : 'served');
          peer.destroy();
        }
      });
    });
  });
});

describe('framers', () => {
  test.each<[string, () => unknown, string]>([
    ['lengthPrefixed(5)', () => lengthPrefixed(any(5)), 'the options must be an object, not 5'],
    ['a size of 3', () => lengthPrefixed(any({ size: 3 })), 'a length has 1, 2, 4 or 8 bytes'],
    ['littleEndian: 1', () => lengthPrefixed(any({ littleEndian: 1 })), 'littleEndian must be true or false, not 1'],
    ['bigEndian', () => lengthPrefixed(any({ bigEndian: true })), "unknown option 'bigEndian'"],
    ['maxFrame', () => lines(any({ maxFramelength: 5 })), "did you mean 'maxFrameLength'?"],
    ['delimited()', () => delimited(any(undefined)), 'delimiter must be a string or a Uint8Array, not undefined'],
    ['delimited(5)', () => delimited(any(5)), 'delimiter must be a string or a Uint8Array, not 5'],
    ['lines(5)', () => lines(any(5)), 'the options must be an object, not 5'],
    ['fixedLength("x")', () => fixedLength(any('x')), 'length must be a whole number'],
    ['framed without a framer', () => framed(any({ onPacket() {} }), any(undefined)), 'framer must be a Framer'],
    ['framed without handlers', () => framed(lines(), any(undefined)), 'handlers must be an object, not undefined'],
    ['framed, onReceive', () => framed(lines(), any({ onReceive() {} })), "unknown handler 'onReceive'"],
    ['PacketSession', () => new (class extends PacketSession {})(any(undefined)), 'framer must be a Framer'],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(message);
  });
});
