// Sending files: their place among other sends, their ranges, what fails, and that no descriptor is left behind.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Core } from '@overlapped/net-core/internal';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Listener, type Session } from '../src/index.js';
import { closing, deferred, listen, onEveryBackend, pattern, peerOf, read, withCore } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'overlapped-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
let files = 0;

function fileOf(bytes: Buffer): string {
  const path = join(folder, String(files++));
  writeFileSync(path, bytes);
  onTestFinished(() => rmSync(path));
  return path;
}

/** Resolves when this process has no descriptor of these files any more, where the system tells. */
async function allClosed(): Promise<void> {
  if (process.platform !== 'linux') return;
  const ofOurs = async (fd: string) => (await readlink(`/proc/self/fd/${fd}`).catch(() => '')).startsWith(folder);
  while ((await Promise.all(readdirSync('/proc/self/fd').map(ofOurs))).includes(true)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A session of ours and its peer, which does not read yet. */
async function connection(core: Core): Promise<{ session: Session; peer: net.Socket; over: Promise<unknown> }> {
  const connected = deferred<Session>();
  const over = deferred<Error | undefined>();
  const listener = await listen(core, {
    session: {
      onConnected: (session) => connected.resolve(session),
      onDisconnected: (_, error) => over.resolve(error),
    },
  });
  const peer = await peerOf(listener);
  return { session: await connected.promise, peer, over: over.promise };
}

onEveryBackend((backend) => {
  describe('files', () => {
    test('go out whole, in their place among sends and other files', async () => {
      await withCore({ backend }, async (core) => {
        const { session, peer, over } = await connection(core);
        const [large, small] = [pattern(5_000_001), pattern(100)];
        const sizes = [
          session.send('head') && session.sendFile(fileOf(large)),
          session.send('middle') && session.sendFile(fileOf(small)),
          session.sendFile(fileOf(Buffer.alloc(0))),
          session.sendFile(fileOf(large), { start: 1_000_000 }),
        ];
        expect(session.bytesQueued).toBe(10);
        session.end('tail');
        const all = [
          Buffer.from('head'),
          large,
          Buffer.from('middle'),
          small,
          large.subarray(1_000_000),
          Buffer.from('tail'),
        ];
        const expected = Buffer.concat(all);
        const received = await read(peer, expected.length);
        expect(received.equals(expected)).toBe(true);
        expect(await Promise.all(sizes)).toEqual([large.length, small.length, 0, large.length - 1_000_000]);
        expect(await over).toBeUndefined();
        expect(session.bytesSent).toBe(expected.length);
        await allClosed();
      });
    });

    test('a range is inclusive, and a handle stays open', async () => {
      await withCore({ backend }, async (core) => {
        const { session, peer } = await connection(core);
        const bytes = pattern(1000);
        const handle = await open(fileOf(bytes));
        onTestFinished(() => handle.close());
        expect(await session.sendFile(handle, { start: 10, end: 19 })).toBe(10);
        expect(await session.sendFile(handle, { end: 0 })).toBe(1);
        expect(await session.sendFile(handle, { start: 999 })).toBe(1);
        const expected = Buffer.concat([bytes.subarray(10, 20), bytes.subarray(0, 1), bytes.subarray(999)]);
        expect((await read(peer, 12)).equals(expected)).toBe(true);
        expect((await handle.stat()).size).toBe(1000);
      });
    });

    test('what cannot be sent is refused, and the session goes on', async () => {
      await withCore({ backend }, async (core) => {
        const { session, peer } = await connection(core);
        const path = fileOf(pattern(100));
        const refused = Promise.all([
          expect(session.sendFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' }),
          expect(session.sendFile(path, { end: 100 })).rejects.toMatchObject({ code: 'ENODATA', name: 'IocpError' }),
          expect(session.sendFile(path, { start: 50, end: 20 })).rejects.toMatchObject({ code: 'EINVAL' }),
          expect(session.sendFile(path, { start: -1 })).rejects.toMatchObject({ code: 'EINVAL' }),
        ]);
        // Windows opens no folder, and has no such FIFOs.
        if (process.platform !== 'win32') {
          const fifo = join(folder, `fifo-${backend}`);
          execFileSync('mkfifo', [fifo]);
          await expect(session.sendFile(fifo)).rejects.toMatchObject({ code: 'EINVAL', name: 'IocpError' });
          await expect(session.sendFile(folder)).rejects.toMatchObject({ code: 'EINVAL' });
        }
        session.send('and');
        const sent = session.sendFile(path);
        await refused;
        expect(await sent).toBe(100);
        session.send('on');
        expect(
          (await read(peer, 105)).equals(Buffer.concat([Buffer.from('and'), pattern(100), Buffer.from('on')])),
        ).toBe(true);
        await allClosed();
      });
    });

    test('a file that is cut on its way ends the session', async () => {
      await withCore({ backend }, async (core) => {
        const { session, peer, over } = await connection(core);
        const path = fileOf(pattern(32 << 20));
        const sent = session.sendFile(path);
        const failed = expect(sent).rejects.toMatchObject({ code: 'ENODATA' });
        session.send('never');
        // Some of it is with the system, and the peer does not read.
        while (session.bytesSent === 0) await new Promise((resolve) => setImmediate(resolve));
        truncateSync(path, 1000);
        const closed = closing(peer.resume());
        await failed;
        expect(await over).toMatchObject({ code: 'ENODATA' });
        await closed;
        await allClosed();
      });
    });

    test.each(['the peer leaves', 'the session is destroyed'])('%s in the middle of a file', async (how) => {
      await withCore({ backend }, async (core) => {
        const { session, peer, over } = await connection(core);
        const path = fileOf(pattern(32 << 20));
        // Nobody listens to them at first, neither to the one that is in flight nor to the one that never begins.
        const sent = [session.sendFile(path), session.sendFile(path)];
        while (session.bytesSent === 0) await new Promise((resolve) => setImmediate(resolve));
        if (how === 'the peer leaves') peer.resetAndDestroy();
        else session.destroy();
        await over;
        await new Promise((resolve) => setImmediate(resolve));
        for (const failed of sent) await expect(failed).rejects.toMatchObject({ name: 'IocpError' });
        peer.destroy();
        await expect(session.sendFile(path)).rejects.toMatchObject({ code: 'EPIPE' });
        await allClosed();
      });
    });

    test('a session that is gone before the file is open', async () => {
      await withCore({ backend }, async (core) => {
        const { session, over } = await connection(core);
        void session.sendFile(fileOf(pattern(1000)));
        session.destroy();
        await over;
        await core.stop();
        await allClosed();
      });
    });

    test('many sessions at once, some of whose peers are slow', async () => {
      await withCore({ backend }, async (core) => {
        const bytes = pattern(6 << 20);
        const path = fileOf(bytes);
        const listener = await Listener.listen(core, {
          host: '127.0.0.1',
          port: 0,
          session: { onConnected: (session) => session.sendFile(path).then(() => session.end()) },
        });
        const peers = await Promise.all(Array.from({ length: 12 }, () => peerOf(listener)));
        for (const group of [peers.slice(6), peers.slice(0, 6)]) {
          const closed = group.map(closing);
          const received = await Promise.all(group.map((peer) => read(peer, bytes.length)));
          expect(received.every((got) => got.equals(bytes))).toBe(true);
          await Promise.all(closed);
        }
        await allClosed();
      });
    });
  });
});
