// Subclasses of the user's: a method of any name that the packages do not document replaces nothing of the session's own.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { DatagramSession, fixedLength, PacketSession, Session } from '../src/index.js';
import { closing, listen, onEachBackend, peerOf, read, withCore } from './support.js';

const NAMES = ['flush', 'onFlush', 'onCompletion', 'cutShort', 'unfinished'];
const LOCAL = { host: '127.0.0.1', port: 0 };

/** Gives a class methods that must not be called by anything but the user. */
function withOwnMethods<Kind extends { readonly prototype: object }>(kind: Kind, called: string[]): Kind {
  for (const name of NAMES) {
    Object.defineProperty(kind.prototype, name, { value: () => called.push(name) });
  }
  return kind;
}

onEachBackend((backend) => {
  test('methods of a subclass of Session replace none of its own', async () => {
    const called: string[] = [];
    class Echo extends Session {
      override onReceive(data: Buffer) {
        this.send(data);
      }
    }
    await withCore({ backend, threads: 0 }, async (core) => {
      const listener = await listen(core, { session: withOwnMethods(Echo, called), timeouts: { frame: 10_000 } });
      const peer = await peerOf(listener);
      peer.write('hello');
      expect(String(await read(peer, 5))).toBe('hello');
      const gone = closing(peer.resume());
      peer.end();
      await gone;
    });
    expect(called).toEqual([]);
  });

  test('methods of a subclass of PacketSession replace none of its own', async () => {
    const called: string[] = [];
    class Echo extends PacketSession {
      constructor() {
        super(fixedLength(5));
      }
      override onPacket(frame: Buffer) {
        this.sendPacket(frame);
      }
    }
    await withCore({ backend, threads: 0 }, async (core) => {
      const peer = await peerOf(await listen(core, { session: withOwnMethods(Echo, called) }));
      peer.write('hello');
      expect(String(await read(peer, 5))).toBe('hello');
      const gone = closing(peer.resume());
      peer.end();
      await gone;
    });
    expect(called).toEqual([]);
  });

  test('methods of a subclass of DatagramSession replace none of its own', async () => {
    const called: string[] = [];
    class Echo extends DatagramSession {
      override onMessage(...[data, from]: Parameters<DatagramSession['onMessage']>) {
        this.send(data, from);
      }
    }
    await withCore({ backend, threads: 0 }, async (core) => {
      const server = await DatagramSession.bind(core, { ...LOCAL, session: withOwnMethods(Echo, called) });
      const peer = createSocket('udp4');
      peer.send('hello', server.local.port, server.local.address);
      expect(String((await once(peer, 'message'))[0])).toBe('hello');
      peer.close();
    });
    expect(called).toEqual([]);
  });
});
