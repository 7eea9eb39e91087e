// Debug mode, with real connections: what a handler sees that keeps borrowed bytes, and what a core says of damage and of
// leaks when it stops, or when the process exits. OVERLAPPED_DEBUG is read when the packages are loaded.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type BackendName, Operation } from '@overlapped/iocp-native';
import { POISON } from '@overlapped/iocp-native/internal';
import { Core, onCompletion } from '@overlapped/net-core/internal';
import { expect, test, vi } from 'vitest';
import type { Session } from '../src/index.js';
import { available, serveShared } from './shared/support.js';
import { deferred, listen, onEachBackend, peerOf, read, withCore } from './support.js';
import { connect } from './threads.js';

vi.hoisted(() => {
  process.env.OVERLAPPED_DEBUG = '1';
});

const owner = { [onCompletion]: () => {} };

onEachBackend((backend) => {
  test('a handler that keeps borrowed bytes past their time reads poison', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const kept = deferred<Buffer>();
      const onReceive = (session: Session, data: Buffer): void => {
        kept.resolve(data);
        setImmediate(() => session.send('done'));
      };
      const peer = await peerOf(await listen(core, { session: { onReceive } }));
      peer.write('mine');
      await read(peer, 4);
      expect((await kept.promise).equals(Buffer.alloc(4, POISON))).toBe(true);
      peer.destroy();
    });
  });

  test('an echo of borrowed bytes is not poisoned before the peer has it', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const listener = await listen(core, { session: { onReceive: (session, data) => session.send(data) } });
      const peer = await peerOf(listener);
      for (let i = 0; i < 200; i++) {
        const message = Buffer.alloc(1 + ((i * 97) % 8000), i & 0x7f);
        peer.write(message);
        expect((await read(peer, message.length)).equals(message)).toBe(true);
      }
      peer.destroy();
    });
  });

  test('a write past the end of a send buffer fails stop()', async () => {
    const core = new Core({ backend, threads: 0, maxSessions: 4 });
    const { sendBuffers } = core;
    const index = sendBuffers.acquire();
    const end = sendBuffers.offsetOf(index) + sendBuffers.size;
    sendBuffers.block.bytes[end] = 0;
    await expect(core.stop()).rejects.toThrow(/^byte 16448 of slot 0, of 16448 bytes, was written:\n {2}acquired:/);
  });

  test('an event that did not come back fails stop(), which names who acquired it', async () => {
    const core = new Core({ backend, threads: 0, maxSessions: 4 });
    leak(core);
    await expect(core.stop()).rejects.toThrow(/^1 of \d+ events \(1 Send\) are out\n slot 0:[\s\S]*leak/);
  });

  test('what is out when the process exits is told, with who acquired it', async () => {
    expect(await stderrOf(backend, 'leak()')).toMatch(/^overlapped: at exit, [\s\S]*\(1 Send\) are out[\s\S]*leak/);
    expect(await stderrOf(backend, 'await core.stop()')).toBe('');
  });
});

function leak(core: Core): void {
  core.events.acquire(owner, Operation.Send);
}

/** Runs a script that opens a core, and gives what it writes to stderr. */
async function stderrOf(backend: BackendName, last: string): Promise<string> {
  const script = `
    import { IocpCore } from '@overlapped/net-core';
    import { onCompletion } from '@overlapped/net-core/internal';
    const core = new IocpCore({ backend: '${backend}', threads: 0, maxSessions: 4 });
    function leak() { core.events.acquire({ [onCompletion]() {} }, ${Operation.Send}); }
    ${last};
    process.exit();`;
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd });
  return (await run).stderr;
}

// Elsewhere there is no shared port for sockets.
test.runIf(available)(
  'a view of a shared session throws when it is used after its turn, and takes no fields',
  async () => {
    const { port } = await serveShared('views');
    const [client] = await connect(port, 1);
    const after = /^a shared session used after its turn: Error: the turn of session \d+ ended here\n {4}at /;
    expect(await client!.ask('later')).toMatch(after);
    expect(await client!.ask('state')).toMatch(after);
    expect(await client!.ask('field')).toBe('Cannot add property field, object is not extensible');
  },
);
