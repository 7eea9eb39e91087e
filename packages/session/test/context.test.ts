// Async contexts (AsyncLocalStorage), and the turns of ticks and promises: a session's handlers and its stream's events run in
// the context of the listen() or connect() that it comes from, never in that of another session.

import { AsyncLocalStorage } from 'node:async_hooks';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { BlockList } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type CompletionPacket, Operation } from '@overlapped/iocp-native';
import { onCompletion } from '@overlapped/net-core/internal';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Connector, DatagramSession, Session } from '../src/index.js';
import { openCore } from './streams.js';
import { deferred, listen, onEachBackend, peerOf, read } from './support.js';
import { until } from './threads.js';

const store = new AsyncLocalStorage<string>();
/** A test in a context of its own: that of the runner may be whatever came before. */
const testInContext = (name: string, body: () => Promise<void>) => test(name, () => store.run('the test', body));

const LOCAL = { host: '127.0.0.1', port: 0 };

/** A client of another process: it sends a byte when the last one is back, so many times, and ends. */
const CLIENT = `const socket = require('node:net').connect(process.argv[1], '127.0.0.1');
let left = 20;
socket.write('x');
socket.on('data', () => (--left > 0 ? socket.write('x') : socket.end()));`;

onEachBackend((backend) => {
  describe('async contexts', () => {
    testInContext('a session sees nothing that another one entered, in whichever handler', async () => {
      const foreign: string[] = [];
      let sessions = 0;
      const enter = (session: Session) => {
        const own = names.get(session)!;
        const seen = store.getStore();
        if (seen !== 'the test' && seen !== own) foreign.push(`${own} saw ${seen}`);
        store.enterWith(own);
      };
      const names = new Map<Session, string>();
      const listener = await listen(openCore(backend), {
        session: {
          onConnected(session) {
            names.set(session, `session ${++sessions}`);
            enter(session);
          },
          onReceive(session, data) {
            enter(session);
            session.send(data);
          },
          onSend: enter,
          onDisconnected: enter,
        },
      });
      const peers = await Promise.all(Array.from({ length: 8 }, () => peerOf(listener)));
      for (let round = 0; round < 10; round++) {
        // All at once, so that one batch has packets of several.
        for (const peer of peers) peer.write('x');
        await Promise.all(peers.map((peer) => read(peer, 1)));
      }
      const closed = peers.map((peer) => once(peer, 'close'));
      for (const peer of peers) peer.end();
      await Promise.all(closed);
      await listener.stop();
      expect(sessions).toBe(8);
      expect(foreign).toEqual([]);
    });

    testInContext('onDrain has the context of its listener, without an onSend, too', async () => {
      const seen: unknown[] = [];
      class Floods extends Session {
        override onConnected() {
          this.send(Buffer.alloc(1_000_000));
        }
        override onDrain() {
          seen.push(store.getStore());
          this.end();
        }
      }
      const core = openCore(backend);
      const listener = await store.run('of the listener', () => listen(core, { session: Floods }));
      const peer = await peerOf(listener);
      peer.resume();
      await once(peer, 'close');
      await listener.stop();
      expect(seen).toEqual(['of the listener']);
    });

    testInContext(
      'the packet of a send has a turn of ticks behind it, only if it may have called something',
      async () => {
        const turns: boolean[] = [];
        class Sends extends Session {
          override [onCompletion](packet: CompletionPacket) {
            const handled = super[onCompletion](packet);
            if (packet.operation === Operation.Send) turns.push(handled);
            return handled;
          }
          override onReceive(data: Buffer): unknown {
            return data.toString() === 'file' ? this.sendFile(path, { end: 3 }) : this.send(data);
          }
        }
        const path = fileURLToPath(import.meta.url);
        const listener = await listen(openCore(backend), { session: Sends });
        const peer = await peerOf(listener);
        peer.write('echo');
        await read(peer, 4);
        await until(() => turns.length > 0);
        expect(turns).toEqual([false]);
        peer.write('file');
        await read(peer, 4);
        await until(() => turns.length > 1);
        expect(turns).toEqual([false, true]);
        peer.end();
        await once(peer, 'close');
        await listener.stop();
      },
    );

    testInContext('what enters a context in the constructor of one session is not in the next one', async () => {
      const seen: unknown[] = [];
      const core = openCore(backend);
      class Enters extends Session {
        constructor() {
          super();
          seen.push(store.getStore());
          store.enterWith('of a constructor');
        }
      }
      const listener = await listen(core, { session: Enters });
      for (let i = 0; i < 2; i++) {
        const peer = await peerOf(listener);
        const closed = once(peer, 'close');
        peer.end();
        peer.resume();
        await closed;
      }
      expect(seen).toEqual(['the test', 'the test']);
    });

    testInContext(
      'sessions of a listener have the context of listen(), those of a connector that of connect()',
      async () => {
        const seen: string[] = [];
        const say = (who: string) => void seen.push(`${who} ${store.getStore()}`);
        const core = openCore(backend);
        const over = deferred();
        const listener = await store.run('listening', () =>
          listen(core, {
            session: {
              onConnected: () => say('accepted'),
              onReceive(session, data) {
                say('received');
                session.send(data);
              },
              onDisconnected: () => over.resolve(),
            },
          }),
        );
        const connector = new Connector(core, {
          session: {
            onConnected(session) {
              say('connected');
              session.send('x');
            },
            onReceive(session) {
              say('answered');
              session.end();
            },
            onDisconnected: () => say('disconnected'),
          },
        });
        await store.run('connecting', () => connector.connect({ host: '127.0.0.1', port: listener.endpoint.port }));
        await over.promise;
        await connector.stop();
        expect(seen.sort()).toEqual([
          'accepted listening',
          'answered connecting',
          'connected connecting',
          'disconnected connecting',
          'received listening',
        ]);
      },
    );

    testInContext('so have those that a proxy introduces, and the events of a stream', async () => {
      const seen: unknown[] = [];
      const trusted = new BlockList();
      trusted.addAddress('127.0.0.1');
      const ended = deferred();
      const core = openCore(backend);
      const listener = await store.run('listening', () =>
        listen(core, {
          proxy: { trusted },
          session: {
            onConnected(session) {
              seen.push(store.getStore());
              const stream = session.toDuplex();
              // Emitters call in the context of what they tell of, not in that of on().
              store.run('of no event', () => {
                stream.on('data', () => seen.push(store.getStore()));
                stream.on('end', () => ended.resolve());
              });
              stream.end();
            },
          },
        }),
      );
      const peer = await peerOf(listener);
      peer.resume();
      peer.end('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello');
      await ended.promise;
      expect(seen).toEqual(['listening', 'listening']);
    });

    testInContext('a datagram session has the context of bind()', async () => {
      const seen: unknown[] = [];
      const core = openCore(backend);
      const two = deferred();
      const session = {
        onMessage() {
          seen.push(store.getStore());
          if (seen.length === 2) two.resolve();
        },
      };
      const server = await store.run('binding', () => DatagramSession.bind(core, { ...LOCAL, session }));
      const client = await DatagramSession.bind(core, { ...LOCAL, session: {} });
      store.run('sending', () => client.send('one', server.local));
      client.send('two', server.local);
      await two.promise;
      expect(seen).toEqual(['binding', 'binding']);
    });
  });

  test('what a handler awaits goes on before the next turn of the event loop, whoever the client is', async () => {
    let late = 0;
    let served = 0;
    const over = deferred<Error | undefined>();
    const listener = await listen(openCore(backend), {
      session: {
        async onReceive(session, data) {
          const copy = Buffer.from(data);
          let turned = false;
          setImmediate(() => {
            turned = true;
          });
          await null;
          await new Promise(process.nextTick);
          if (turned) late++;
          served++;
          session.send(copy);
        },
        onDisconnected: (_, error) => over.resolve(error),
      },
    });
    const client = execFile(process.execPath, ['-e', CLIENT, String(listener.endpoint.port)]);
    onTestFinished(() => void client.kill());
    expect(await over.promise).toBeUndefined();
    expect({ served, late }).toEqual({ served: 20, late: 0 });
  });

  test('packets of one batch have a turn of ticks and promises each', async () => {
    const log: string[] = [];
    const over = deferred();
    const listener = await listen(openCore(backend), {
      session: {
        onReceive(session) {
          log.push('receive');
          void Promise.resolve().then(() => log.push('its promise'));
          session.send('y');
        },
        onDisconnected() {
          log.push('disconnected');
          over.resolve();
        },
      },
    });
    const peers = await Promise.all([1, 2, 3].map(() => peerOf(listener)));
    for (const peer of peers) peer.end('x');
    await over.promise;
    await listener.stop();
    const receives = log.filter((entry) => entry !== 'disconnected');
    expect(receives).toEqual(['receive', 'its promise', 'receive', 'its promise', 'receive', 'its promise']);
  });
});
