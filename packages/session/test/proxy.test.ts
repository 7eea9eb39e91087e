// Clients that come through proxies: the session has the client's address and bytes, and who is no proxy, or says nothing in
// form and in time, gets none.

import { BlockList } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { ListenOptions } from '../src/index.js';
import { withClock } from './clock.js';
import { closing, deferred, dial, listen, onEachBackend, pattern, peerOf, read, withCore } from './support.js';

const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');

function header(address: string, port = 1000): Buffer {
  return Buffer.from(`PROXY TCP4 ${address} 10.0.0.1 ${port} 443\r\n`);
}

function trusting(...addresses: string[]): BlockList {
  const list = new BlockList();
  for (const address of addresses) list.addAddress(address);
  return list;
}

onEachBackend((backend) => {
  /** A listener behind proxies, which tells each client what it knows of it, and sends back what it says. */
  async function proxied(
    use: (tools: Awaited<ReturnType<typeof start>>) => Promise<void>,
    limits: Partial<ListenOptions> = {},
  ) {
    await withCore({ backend }, async (core) => use(await start(core, limits)));
  }

  async function start(core: Parameters<typeof listen>[0], limits: Partial<ListenOptions>) {
    let open = 0;
    const gone: unknown[] = [];
    const listener = await listen(core, {
      session: {
        onConnected: (session) => {
          open++;
          session.send(`${session.remoteAddress} ${session.remotePort}\n`);
        },
        onReceive: (session, data) => session.send(data),
        onDisconnected: (session) => {
          open--;
          gone.push(session.remote);
        },
      },
      proxy: { trusted: trusting('127.0.0.1') },
      ...limits,
    });
    /** Connects, says something, and gives the first `length` bytes of the answer; undefined when it is reset. */
    const ask = async (length: number, ...pieces: (string | Buffer)[]) => {
      const socket = dial(listener);
      for (const piece of pieces) socket.write(piece);
      const text = await read(socket, length).then(String, () => undefined);
      return { socket, text };
    };
    return { core, listener, ask, opened: () => open, gone };
  }

  describe('behind a proxy', () => {
    test("the session has the client's address and what the client has said, with the header or after it", async () => {
      await proxied(async ({ ask, core }) => {
        const together = await ask(20, Buffer.concat([header('192.0.2.7', 4711), Buffer.from('hello')]));
        expect(together.text).toBe('192.0.2.7 4711\nhello');
        together.socket.write('again');
        expect(String(await read(together.socket, 5))).toBe('again');
        const later = await ask(15, header('192.0.2.7', 4711));
        expect(later.text).toBe('192.0.2.7 4711\n');
        later.socket.write('hello');
        expect(String(await read(later.socket, 5))).toBe('hello');
        expect(core.stats().total).toMatchObject({ refused: 0, sessions: 2, bytesReceived: 15 });
      });
    });

    test('a header that comes byte by byte is read', async () => {
      await proxied(async ({ listener }) => {
        const socket = await peerOf(listener);
        socket.setNoDelay();
        for (const byte of header('192.0.2.7')) {
          socket.write(Buffer.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
        socket.write('hello');
        expect(String(await read(socket, 20))).toBe('192.0.2.7 1000\nhello');
      });
    });

    test('a client that sends much at once loses nothing, and its bytes stay in order', async () => {
      await proxied(async ({ listener }) => {
        const bytes = pattern(3_000_000);
        const socket = dial(listener);
        socket.write(Buffer.concat([header('192.0.2.7'), bytes]));
        expect((await read(socket, 15 + bytes.length)).subarray(15).equals(bytes)).toBe(true);
      });
    });

    test('a client that has ended already is answered, and the session ends in order', async () => {
      await proxied(async ({ listener, opened, gone }) => {
        const socket = await peerOf(listener, true);
        socket.end(Buffer.concat([header('192.0.2.7'), Buffer.from('bye')]));
        const closed = closing(socket);
        expect(String(await read(socket, 18))).toBe('192.0.2.7 1000\nbye');
        await closed;
        while (opened() > 0) await new Promise((resolve) => setImmediate(resolve));
        expect(gone).toEqual([undefined]);
      });
    });

    test('a proxy that speaks for itself has its own address, and no limit', async () => {
      const limits = { maxSessionsPerAddress: 1, allow: trusting('192.0.2.7') };
      await proxied(async ({ ask }) => {
        for (let i = 0; i < 3; i++) expect((await ask(10, LOCAL)).text).toContain('127.0.0.1 ');
        expect((await ask(10, 'PROXY UNKNOWN\r\n')).text).toContain('127.0.0.1 ');
      }, limits);
    });

    test("limits and lists are for the client's address", async () => {
      const limits = { maxSessionsPerAddress: 1, deny: trusting('192.0.2.9', '127.0.0.1') };
      await proxied(async ({ ask, core, listener }) => {
        const first = await ask(15, header('192.0.2.7'));
        expect(first.text).toBe('192.0.2.7 1000\n');
        expect((await ask(1, header('192.0.2.7'))).text).toBeUndefined();
        expect((await ask(15, header('192.0.2.8'))).text).toBe('192.0.2.8 1000\n');
        expect((await ask(1, header('192.0.2.9'))).text).toBeUndefined();
        // The same client, whatever the header calls it.
        expect((await ask(1, 'PROXY TCP6 ::ffff:192.0.2.7 ::1 1000 443\r\n')).text).toBeUndefined();
        const stats = { refused: 3, refusedAddress: 2, refusedDenied: 1, refusedProxy: 0, sessions: 2 };
        expect(core.stats().total).toMatchObject(stats);
        first.socket.destroy();
        while (listener.sessions.size === 2) await new Promise((resolve) => setImmediate(resolve));
        expect((await ask(15, header('192.0.2.7'))).text).toBe('192.0.2.7 1000\n');
      }, limits);
    });
  });

  describe('without a header', () => {
    test('who is not trusted is reset, header or not', async () => {
      const limits = { proxy: { trusted: trusting('192.0.2.1') } };
      await proxied(async ({ ask, core }) => {
        expect((await ask(1, header('192.0.2.7'))).text).toBeUndefined();
        expect((await ask(1, 'hello')).text).toBeUndefined();
        expect(core.stats().total).toMatchObject({ accepted: 0, refused: 2, refusedProxy: 2 });
      }, limits);
    });

    test('a connection is reset that begins with something else, or ends before its header does', async () => {
      await proxied(async ({ ask, core, listener }) => {
        expect((await ask(1, 'GET / HTTP/1.1\r\n')).text).toBeUndefined();
        const socket = await peerOf(listener, true);
        socket.end(header('192.0.2.7').subarray(0, 20));
        await closing(socket.resume());
        expect(core.stats().total).toMatchObject({ accepted: 2, ended: 2, refused: 2, refusedProxy: 2, sessions: 0 });
      });
    });

    test('a header that does not come in time closes the connection; one that has come stops the clock', async () => {
      await withClock(backend, async (core, { pass }) => {
        const limits = { proxy: { trusted: trusting('127.0.0.1'), timeout: 60 } };
        const { ask, listener } = await start(core, limits);
        const silent = await peerOf(listener);
        const good = await ask(15, header('192.0.2.7'));
        const slow = await peerOf(listener);
        slow.write('PROXY TCP4 ');
        const closed = Promise.all([closing(silent.resume()), closing(slow.resume())]);
        while (core.sessions < 3) await new Promise((resolve) => setImmediate(resolve));
        pass(59);
        expect(core.timers.size).toBe(2);
        pass(1);
        await closed;
        expect(core.timers.size).toBe(0);
        good.socket.write('still here');
        expect(String(await read(good.socket, 10))).toBe('still here');
        expect(core.stats().total).toMatchObject({ refusedProxy: 2, sessions: 1 });
      });
    });

    test('what waits for its header counts as a session, and stopping ends it', async () => {
      await proxied(
        async ({ core, listener }) => {
          const silent = await peerOf(listener);
          while (core.sessions === 0) await new Promise((resolve) => setImmediate(resolve));
          const refused = deferred();
          dial(listener).resume().once('close', refused.resolve);
          await refused.promise;
          expect(core.stats().total).toMatchObject({ refusedFull: 1 });
          const closed = closing(silent.resume());
          await listener.stop(20);
          await closed;
          expect(core.sessions).toBe(0);
          expect(core.events.out).toBe(0);
        },
        { maxSessions: 1 },
      );
    });
  });
});
