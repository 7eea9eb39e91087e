// Listeners, connectors and sessions on paths: Unix-domain sockets, and named pipes on Windows.

import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IocpCore } from '@overlapped/net-core';
// The built package, as the module sees it.
import { Listener as Built } from '@overlapped/session';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Connector, Listener, type Session } from '../src/index.js';
import { closing, deferred, onEveryBackend, pattern, read, withCore } from './support.js';
import { LINE } from './threads.js';

const windows = process.platform === 'win32';
let names = 0;

function localPath(): string {
  const name = `overlapped-session-${process.pid}-${names++}`;
  if (windows) return `\\\\.\\pipe\\${name}`;
  const folder = mkdtempSync(join(tmpdir(), 'overlapped-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'a.sock');
}

async function dial(path: string): Promise<net.Socket> {
  const socket = net.connect({ path });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

onEveryBackend((backend) => {
  describe('local sockets', () => {
    test('a connector talks to a listener on the same path, and neither has an address', async () => {
      await withCore({ backend }, async (core) => {
        const path = localPath();
        const over = deferred<Error | undefined>();
        const listener = await Listener.listen(core, {
          path,
          session: {
            onReceive: (session, data) => {
              session.setNoDelay();
              session.setKeepAlive(10);
              expect([session.remote, session.localAddress]).toEqual([undefined, undefined]);
              session.send(data);
            },
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        expect(listener.endpoint).toEqual({ path });
        const answer = deferred<string>();
        const connector = new Connector(core, {
          session: {
            onConnected: (session) => session.send('over a path'),
            onReceive: (session, data) => {
              answer.resolve(String(data));
              session.end();
            },
          },
        });
        await connector.connect({ path });
        expect(await answer.promise).toBe('over a path');
        expect(await over.promise).toBeUndefined();
      });
    });

    test('16 MiB arrive whole, and then the end', async () => {
      await withCore({ backend }, async (core) => {
        const path = localPath();
        const data = pattern(16 << 20);
        await Listener.listen(core, { path, session: { onConnected: (session) => session.end(data) } });
        const chunks: Buffer[] = [];
        const over = deferred<Error | undefined>();
        const connector = new Connector(core, {
          session: {
            onReceive: (_, chunk) => chunks.push(Buffer.from(chunk)),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        await connector.connect({ path });
        expect(await over.promise).toBeUndefined();
        expect(Buffer.concat(chunks).equals(data)).toBe(true);
      });
    });

    test('a client of node:net is echoed, and its end ends the session', async () => {
      await withCore({ backend }, async (core) => {
        const path = localPath();
        const over = deferred<Error | undefined>();
        await Listener.listen(core, {
          path,
          session: {
            onReceive: (session, data) => session.send(data),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        const peer = await dial(path);
        peer.write('ping');
        expect(String(await read(peer, 4))).toBe('ping');
        peer.end();
        expect(await over.promise).toBeUndefined();
      });
    });

    test('destroy() ends the connection for the peer, too', async () => {
      await withCore({ backend }, async (core) => {
        const path = localPath();
        const over = deferred<Error | undefined>();
        await Listener.listen(core, {
          path,
          session: {
            onReceive: (session) => session.destroy(new Error('enough')),
            onDisconnected: (_, error) => over.resolve(error),
          },
        });
        const peer = await dial(path);
        const closed = closing(peer);
        peer.resume().write('x');
        expect((await over.promise)?.message).toBe('enough');
        await closed;
      });
    });

    test('errors: nobody there, somebody there already', async () => {
      await withCore({ backend }, async (core) => {
        const path = localPath();
        const connector = new Connector(core, { session: {} });
        await expect(connector.connect({ path })).rejects.toMatchObject({ code: 'ENOENT', name: 'IocpError' });
        await Listener.listen(core, { path, session: {} });
        // Wine has several owners of one name.
        if (!process.env.WINEPREFIX) {
          await expect(Listener.listen(core, { path, session: {} })).rejects.toMatchObject({ code: 'EADDRINUSE' });
        }
        const long = path.padEnd(300, 'x');
        await expect(Listener.listen(core, { path: long, session: {} })).rejects.toMatchObject({
          code: 'ENAMETOOLONG',
        });
      });
    });

    test('the path is free as soon as its listener has stopped', async () => {
      await withCore({ backend }, async (core) => {
        const path = localPath();
        for (let i = 0; i < 3; i++) {
          const listener = await Listener.listen(core, {
            path,
            session: { onConnected: (s: Session) => s.send('hi') },
          });
          const peer = await dial(path);
          expect(String(await read(peer, 2))).toBe('hi');
          peer.resume();
          await listener.stop();
          expect(!windows && existsSync(path)).toBe(false);
        }
      });
    });

    // A pipe is with its port before its client comes.
    test.skipIf(windows)('sessions in worker threads', async () => {
      const core = new IocpCore({ backend, threads: 2, maxSessions: 100 });
      onTestFinished(() => core.stop(500));
      const path = localPath();
      await Built.listen(core, { path, module: LINE });
      const peers = await Promise.all(Array.from({ length: 4 }, () => dial(path)));
      for (const peer of peers) {
        peer.write('hello');
        expect(String(await read(peer, 5))).toBe('hello');
      }
      const threads = await Promise.all(
        peers.map(async (peer) => {
          peer.write('who');
          return String((await once(peer, 'data'))[0]);
        }),
      );
      expect(new Set(threads).size).toBe(core.threads === 0 ? 1 : 2);
      await core.stop(500);
      expect(existsSync(path)).toBe(false);
    });
  });
});
