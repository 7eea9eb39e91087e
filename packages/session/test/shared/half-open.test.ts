// The end of a peer of a shared session: onEnd, answers that come after it, and sessions that stay open for sending (allowHalfOpen). The
// rules are those of pinned sessions (half-open.test.ts).

import { once } from 'node:events';
import type { IocpCoreOptions } from '@overlapped/net-core';
import type { SharedListenerOptions } from '@overlapped/session';
import { describe, expect, test } from 'vitest';
import { withClock } from '../clock.js';
import { read } from '../support.js';
import { type Client, connect, until } from '../threads.js';
import { PEER_ENDED } from './modules/half.js';
import { ENDS } from './modules/notes.js';
import { Notes } from './script.js';
import { available, kernel, serveShared } from './support.js';

/** Reads the line with the session's id. */
async function idOf({ socket }: Client): Promise<number> {
  const [data] = await once(socket, 'data');
  return Number(String(data));
}

/** All bytes until the peer's end. */
async function rest({ socket }: Client): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk)).resume();
  await once(socket, 'end');
  return String(Buffer.concat(chunks));
}

describe.each<[string, IocpCoreOptions]>([
  ...(available ? [['on a shared port', { concurrency: 2, threads: 4 }] as [string, IocpCoreOptions]] : []),
  ['on the thread of the core', { backend: 'portable' }],
])('the end of a peer, %s', (_, options) => {
  async function serve(more: Partial<SharedListenerOptions> = {}, module = 'half') {
    const notes = new Notes();
    const { core, port, listener } = await serveShared(module, options, more);
    const [client] = await connect(port, 1);
    return { core, notes, listener, client: client! };
  }

  test('by default the session answers, also by an async onEnd, and ends in order', async () => {
    const { notes, client } = await serve();
    await idOf(client);
    client.socket.end('hello');
    expect(await rest(client)).toBe('hello\nyou end\n');
    await notes.noted(ENDS.none);
    expect(notes.log).toEqual([PEER_ENDED, ENDS.none]);
  });

  test('what waits is sent before the session ends', async () => {
    const { notes, client } = await serve();
    await idOf(client);
    client.socket.pause();
    client.socket.end('much');
    await notes.noted(PEER_ENDED);
    const all = await rest(client);
    expect(all.length).toBe('much\n'.length + 24_000_000 + 'you end\n'.length);
    expect(all.endsWith('you end\n')).toBe(true);
    await notes.noted(ENDS.none);
  });

  test('onEnd is called when the session has ended before its peer, too', async () => {
    const { notes, client } = await serve();
    await idOf(client);
    client.socket.allowHalfOpen = true;
    client.socket.write('end');
    expect(await rest(client)).toBe('I end\n');
    expect(notes.log).toEqual([]);
    client.socket.end();
    await notes.noted(ENDS.none);
    expect(notes.log).toEqual([PEER_ENDED, ENDS.none]);
  });

  test('with allowHalfOpen it sends until end() is called', async () => {
    const { core, notes, client } = await serve({ allowHalfOpen: true });
    const id = await idOf(client);
    client.socket.end('hello');
    expect(String(await read(client.socket, 14))).toBe('hello\nyou end\n');
    // Turns of its own, after the end.
    for (const text of ['more', 'and more']) {
      expect(core.sharedSessions!.tell(id, text)).toBe(true);
      expect(String(await read(client.socket, text.length))).toBe(text);
    }
    expect(core.sharedSessions!.send(id, 'from elsewhere')).toBe(true);
    expect(String(await read(client.socket, 14))).toBe('from elsewhere');
    expect(notes.log).toEqual([PEER_ENDED]);
    core.sharedSessions!.tell(id, 'end');
    expect(await rest(client)).toBe('bye\n');
    await notes.noted(ENDS.none);
    expect(notes.log).toEqual([PEER_ENDED, ENDS.none]);
    await until(() => !core.sharedSessions!.send(id, 'late'));
  });

  test('with allowHalfOpen a session that has ended before its peer is over with the end of the peer', async () => {
    const { notes, client } = await serve({ allowHalfOpen: true });
    await idOf(client);
    client.socket.allowHalfOpen = true;
    client.socket.write('end');
    expect(await rest(client)).toBe('I end\n');
    client.socket.end();
    await notes.noted(ENDS.none);
    expect(notes.log).toEqual([PEER_ENDED, ENDS.none]);
  });

  test.each(['listener', 'core'] as const)('with allowHalfOpen, %s.stop() ends it', async (which) => {
    const { core, listener, notes, client } = await serve({ allowHalfOpen: true });
    await idOf(client);
    client.socket.end();
    expect(String(await read(client.socket, 8))).toBe('you end\n');
    const over = rest(client);
    await (which === 'core' ? core : listener).stop(60_000);
    expect(await over).toBe('');
    expect(notes.log).toEqual([PEER_ENDED, ENDS.none]);
  });

  test('with allowHalfOpen a peer that ends in the middle of a frame has not ended in order', async () => {
    const { notes, client } = await serve({ allowHalfOpen: true }, 'packets-half');
    client.socket.end('abcdab');
    expect(await rest(client)).toBe('abcd');
    await notes.noted(ENDS.EPROTO);
    expect(notes.log).toEqual([ENDS.EPROTO]);
  });

  test('whole frames before the end are delivered, and then onEnd is called', async () => {
    const { notes, client } = await serve({}, 'packets-half');
    client.socket.end('abcdefgh');
    expect(await rest(client)).toBe('abcdefgh');
    await notes.noted(ENDS.none);
    expect(notes.log).toEqual([PEER_ENDED, ENDS.none]);
  });

  test('with linger: 0 the end of the peer resets the session, with allowHalfOpen its own end does', async () => {
    const first = await serve({ linger: 0 });
    await idOf(first.client);
    first.client.socket.resume().end();
    await first.notes.noted(ENDS.none);
    expect(first.notes.log).toEqual([ENDS.none]);
    const second = await serve({ linger: 0, allowHalfOpen: true });
    const id = await idOf(second.client);
    second.client.socket.end();
    expect(String(await read(second.client.socket, 8))).toBe('you end\n');
    second.core.sharedSessions!.tell(id, 'end');
    await second.notes.noted(ENDS.none);
    expect(second.notes.log).toEqual([PEER_ENDED, ENDS.none]);
  });
});

describe.each([
  ...(kernel ? [['on a shared port', kernel] as const] : []),
  ['on the thread of the core', 'portable'] as const,
])('the time after the end of a peer, %s', (_, backend) => {
  const serve = (
    more: Partial<SharedListenerOptions>,
    act: (scene: { client: Client; notes: Notes; pass(milliseconds: number): void; end(): void }) => Promise<void>,
  ) =>
    withClock(backend, async (core, { pass }) => {
      const notes = new Notes();
      const { port } = await serveShared('half', {}, { allowHalfOpen: true, ...more }, core);
      const [client] = await connect(port, 1);
      const id = await idOf(client!);
      client!.socket.end();
      expect(String(await read(client!.socket, 8))).toBe('you end\n');
      await act({ client: client!, notes, pass, end: () => void core.sharedSessions!.tell(id, 'end') });
      client!.socket.destroy();
    });

  test('a read timeout does not count', () =>
    serve({ timeouts: { read: 100 } }, async ({ client, notes, pass, end }) => {
      for (let i = 0; i < 100; i++) pass(10);
      expect(notes.log).toEqual([PEER_ENDED]);
      end();
      expect(await rest(client)).toBe('bye\n');
    }));

  test('linger begins with end()', () =>
    serve({ linger: 1 }, async ({ client, notes, pass, end }) => {
      for (let i = 0; i < 100; i++) pass(50);
      expect(notes.log).toEqual([PEER_ENDED]);
      end();
      expect(await rest(client)).toBe('bye\n');
      await notes.noted(ENDS.none);
    }));
});
