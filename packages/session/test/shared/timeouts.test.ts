// Timeouts and linger of shared sessions: the rules of pinned sessions (timeouts.test.ts). The time is in the hand of the test.

import type { BackendName } from '@overlapped/iocp-native';
import type { Core } from '@overlapped/net-core/internal';
import type { SharedListenerOptions } from '@overlapped/session';
import { describe, expect, test } from 'vitest';
import { encodeFrame, lengthPrefixed } from '../../src/index.js';
import { type Hand, withClock } from '../clock.js';
import { type Client, connect, until } from '../threads.js';
import { ENDS } from './modules/notes.js';
import { Notes } from './script.js';
import { kernel, serveShared } from './support.js';

interface Scene extends Hand {
  readonly core: Core;
  readonly client: Client;
  readonly notes: Notes;
  /** Sessions that a timeout has closed. */
  timedOut(): number;
  /** Lets time pass until the session is over. Gives how much that was. */
  passUntilOver(end: number): Promise<number>;
}

const backends: [string, BackendName][] = [
  ...(kernel ? [['on a shared port', kernel] as [string, BackendName]] : []),
  ['on the thread of the core', 'portable'],
];

describe.each(backends)('timeouts of shared sessions, %s', (_, backend) => {
  /** Serves one session of a module. */
  async function serve(
    module: string,
    options: Partial<SharedListenerOptions>,
    act: (scene: Scene) => Promise<void>,
  ): Promise<void> {
    await withClock(backend, async (core, hand) => {
      const notes = new Notes();
      const { port, listener } = await serveShared(module, {}, options, core);
      const [client] = await connect(port, 1);
      await until(() => listener.stats.accepted === 1);
      const timedOut = () => core.stats().total.timedOut;
      const passUntilOver = async (end: number) => {
        let passed = 0;
        await until(() => {
          if (notes.log.includes(end)) return true;
          hand.pass(1);
          passed++;
          return false;
        });
        return passed;
      };
      await act({ core, client: client!, notes, timedOut, passUntilOver, ...hand });
      client!.socket.destroy();
    });
  }

  test('silence from the start ends a session, and its peer is reset', () =>
    serve('script', { timeouts: { firstByte: 1000 } }, async ({ client, timedOut, pass, passUntilOver }) => {
      pass(990);
      expect(timedOut()).toBe(0);
      await passUntilOver(ENDS.ETIMEDOUT);
      expect(timedOut()).toBe(1);
      await client.closed;
    }));

  test('the first byte is all that its timeout wants', () =>
    serve('script', { timeouts: { firstByte: 20 } }, async ({ client, timedOut, pass }) => {
      expect(await client.ask('asked')).toBe('1');
      for (let i = 0; i < 100; i++) pass(10);
      expect(timedOut()).toBe(0);
      expect(await client.ask('asked')).toBe('2');
    }));

  test('silence later ends a session, and a peer that says something now and then stays', () =>
    serve('script', { timeouts: { read: 2000 } }, async ({ client, timedOut, pass, passUntilOver }) => {
      for (let i = 1; i <= 10; i++) {
        expect(await client.ask('asked')).toBe(String(i));
        pass(1500);
      }
      expect(timedOut()).toBe(0);
      await passUntilOver(ENDS.ETIMEDOUT);
      expect(timedOut()).toBe(1);
    }));

  test('the time of a handler does not count', () =>
    serve('script', { timeouts: { read: 1000 } }, async ({ client, notes, timedOut, pass, passUntilOver }) => {
      client.socket.write('later 1');
      await notes.noted(1);
      for (let i = 0; i < 100; i++) pass(100);
      expect(timedOut()).toBe(0);
      notes.set(1);
      expect(await client.ask('')).toBe('later');
      await passUntilOver(ENDS.ETIMEDOUT);
      expect(timedOut()).toBe(1);
    }));

  test('a peer that does not read what waits for it ends a session', () =>
    serve('script', { timeouts: { write: 1000 } }, async ({ client, notes, timedOut, pass, passUntilOver }) => {
      client.socket.pause().write('much 1');
      await notes.noted(1);
      pass(900);
      expect(timedOut()).toBe(0);
      await passUntilOver(ENDS.ETIMEDOUT);
      expect(timedOut()).toBe(1);
    }));

  test('a frame that is not whole in time ends its session, however often a byte comes', () =>
    serve('packets', { timeouts: { frame: 1000 } }, async ({ client, notes, pass, timedOut }) => {
      client.socket.write(Buffer.of(1, 0));
      await until(() => {
        client.socket.write('x');
        pass(10);
        return notes.log.includes(ENDS.ETIMEDOUT);
      });
      expect(timedOut()).toBe(1);
    }));

  test('each frame has its own time, and the time between frames does not count', () =>
    serve('packets', { timeouts: { frame: 1000 } }, async ({ client, timedOut, pass }) => {
      const frame = encodeFrame(lengthPrefixed({ size: 2 }), 'in parts');
      // There is a half frame at any time.
      client.socket.write(frame.subarray(0, 4));
      for (let i = 0; i < 20; i++) {
        pass(900);
        await client.ask(Buffer.concat([frame.subarray(4), frame.subarray(0, 4)]) as unknown as string);
      }
      await client.ask(frame.subarray(4) as unknown as string);
      for (let i = 0; i < 100; i++) pass(100);
      expect(timedOut()).toBe(0);
      await client.ask(frame as unknown as string);
    }));

  test('a session that has ended has its linger to send the rest', () =>
    serve('script', { linger: 2 }, async ({ client, notes, pass, passUntilOver }) => {
      client.socket.pause().write('much 1');
      await notes.noted(1);
      client.socket.write('end');
      pass(1900);
      expect(notes.log).toHaveLength(1);
      await passUntilOver(ENDS.ETIMEDOUT);
      client.socket.resume();
      await client.closed;
    }));

  test('without a linger there is no limit, and with one of 0 the end drops what waits', async () => {
    await serve('script', {}, async ({ client, notes, pass }) => {
      client.socket.pause().write('much 1');
      await notes.noted(1);
      client.socket.write('end');
      for (let i = 0; i < 100; i++) pass(1000);
      expect(notes.log).toHaveLength(1);
    });
    await serve('script', { linger: 0 }, async ({ client, notes }) => {
      let received = 0;
      client.socket.pause().write('much 1');
      await notes.noted(1);
      client.socket.write('end');
      await notes.noted(ENDS.none);
      client.socket.on('data', (piece: Buffer) => {
        received += piece.length;
      });
      client.socket.resume();
      await client.closed;
      // What the kernel had not taken was dropped.
      expect(received).toBeLessThan(24_000_000);
    });
  });
});
