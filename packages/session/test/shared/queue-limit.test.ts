// The effect of a send() of a shared session beyond the queue's limits: the rules of pinned sessions (queue-limit.test.ts), and the sum of
// all queues, which the threads count together.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { IocpCoreOptions } from '@overlapped/net-core';
import type { Core } from '@overlapped/net-core/internal';
import type { SharedListenerOptions } from '@overlapped/session';
import { describe, expect, test } from 'vitest';
import { read as readFlowing } from '../support.js';
import { connect, until } from '../threads.js';
import { ENDS } from './modules/notes.js';
import { DRAINED, GOT, REFUSED, SENT } from './modules/queue.js';
import { Notes } from './script.js';
import { available, serveShared, tableOf } from './support.js';

/** More than the kernel takes for a peer that does not read. */
const MUCH = 24_000_000;
/** Reads exactly `length` bytes of a peer that has not read. */
async function read(socket: Socket, length: number): Promise<Buffer> {
  const bytes = await readFlowing(socket.resume(), length);
  socket.pause();
  return bytes;
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe.each<[string, IocpCoreOptions]>([
  ...(available ? [['on a shared port', { concurrency: 2, threads: 4 }] as [string, IocpCoreOptions]] : []),
  ['on the thread of the core', { backend: 'portable' }],
])('limits of queues, %s', (_, options) => {
  /** Bytes that all sessions have queued. */
  const queued = (core: Core) => core.stats().total.bytesQueued;

  async function serve(queueLimit: SharedListenerOptions['queueLimit'], count = 1) {
    const notes = new Notes();
    const { core, port } = await serveShared('queue', options, { queueLimit: queueLimit! });
    const clients = await connect(port, count);
    for (const { socket } of clients) socket.pause();
    /** Has a session send, and gives the result of send(). */
    const send = async (index: number, length: number, letter: string) => {
      const results = () => notes.log.filter((note) => note === SENT || note === REFUSED);
      const before = results().length;
      clients[index]!.socket.write(`send ${length} ${letter}\n`);
      await until(() => results().length > before);
      return results()[before];
    };
    return { core, notes, clients, send };
  }

  test('by default a session closes with ENOBUFS', async () => {
    const { core, notes, clients, send } = await serve({ perSession: MUCH });
    await send(0, MUCH, 'a');
    expect(await send(0, MUCH, 'b')).toBe(REFUSED);
    await notes.noted(ENDS.ENOBUFS);
    clients[0]!.socket.resume();
    await clients[0]!.closed;
    await until(() => queued(core) === 0);
    expect(core.stats().total).toMatchObject({ overflowed: 1, droppedMessages: 0 });
  });

  test('a message is dropped, later ones that fit are sent, and onDrain follows', async () => {
    const { core, notes, clients, send } = await serve({ perSession: MUCH, beyond: 'drop' });
    const { socket } = clients[0]!;
    // Above the high watermark, which is 262,144.
    await send(0, MUCH, 'a');
    expect(await send(0, MUCH, 'b')).toBe(REFUSED);
    await send(0, 10, 'c');
    expect(notes.log).not.toContain(DRAINED);
    const all = await read(socket, MUCH + 10);
    expect(all.equals(Buffer.concat([Buffer.alloc(MUCH, 'a'), Buffer.alloc(10, 'c')]))).toBe(true);
    await notes.noted(DRAINED);
    await until(() => queued(core) === 0);
    expect(core.stats().total).toMatchObject({ overflowed: 0, droppedMessages: 1 });
  });

  test('onDrain follows a drop even when nothing waits', async () => {
    const { notes, clients, send } = await serve({ perSession: 10, beyond: 'drop' });
    expect(await send(0, 11, 'a')).toBe(REFUSED);
    await notes.noted(DRAINED);
    expect(await send(0, 5, 'b')).toBe(SENT);
    expect(String(await read(clients[0]!.socket, 5))).toBe('bbbbb');
  });

  test('a session is paused: its peer is not read until it reads, and every byte arrives', async () => {
    const { core, notes, clients, send } = await serve({ perSession: 1_000_000, beyond: 'pause' });
    const { socket } = clients[0]!;
    await send(0, MUCH, 'a');
    const got = () => notes.log.filter((note) => note === GOT).length;
    // Two frames that come in one piece, and one later.
    socket.write(`send 10 b\nsend ${MUCH} c\n`);
    for (let i = 0; i < 20; i++) await turn();
    socket.write('send 10 d\n');
    for (let i = 0; i < 50; i++) await turn();
    expect(got()).toBe(1);
    const all = await read(socket, 2 * MUCH + 20);
    const right = [Buffer.alloc(MUCH, 'a'), Buffer.alloc(10, 'b'), Buffer.alloc(MUCH, 'c'), Buffer.alloc(10, 'd')];
    expect(all.equals(Buffer.concat(right))).toBe(true);
    await until(() => got() === 4 && queued(core) === 0);
  });

  test('a session is paused by what other threads send to it, too', async () => {
    const { core, notes, clients } = await serve({ perSession: 1_000_000, beyond: 'pause' });
    const { socket } = clients[0]!;
    socket.resume().write('id\n');
    const id = Number(String((await once(socket, 'data'))[0]));
    socket.pause();
    // It waits for bytes of its peer at this moment.
    core.sharedSessions!.send(id, Buffer.alloc(MUCH));
    socket.write('send 10 b\n');
    for (let i = 0; i < 50; i++) await turn();
    expect(notes.log).toEqual([GOT]);
    await read(socket, MUCH + 10);
    expect(notes.log.filter((note) => note === GOT)).toHaveLength(2);
  });

  test('a session is paused by an async handler, too', async () => {
    const { notes, clients } = await serve({ perSession: 1_000_000, beyond: 'pause' });
    const { socket } = clients[0]!;
    socket.write(`later ${MUCH} a\nsend 10 b\n`);
    await notes.noted(REFUSED);
    for (let i = 0; i < 50; i++) await turn();
    expect(notes.log).toEqual([GOT, REFUSED]);
    expect(String((await read(socket, MUCH + 10)).subarray(MUCH))).toBe('b'.repeat(10));
  });

  test('a session that is paused in the middle of a piece keeps its other frames', async () => {
    const { notes, clients } = await serve({ perSession: 1_000_000, beyond: 'pause' });
    const { socket } = clients[0]!;
    socket.write(`send ${MUCH} a\nsend 10 b\nsend 10 c\nsend 1`);
    await notes.noted(GOT);
    for (let i = 0; i < 50; i++) await turn();
    expect(notes.log.filter((note) => note === GOT)).toHaveLength(1);
    await read(socket, MUCH + 20);
    socket.write('0 d\n');
    expect(String(await read(socket, 10))).toBe('d'.repeat(10));
  });

  test('in all, bytes of other sessions count', async () => {
    const { core, clients, send } = await serve({ inAll: MUCH + 1_000_000, beyond: 'drop' }, 2);
    await send(0, MUCH, 'a');
    expect(queued(core)).toBeGreaterThan(1_000_000);
    expect(await send(1, MUCH, 'b')).toBe(REFUSED);
    expect(await send(1, 10, 'c')).toBe(SENT);
    expect(String(await read(clients[1]!.socket, 10))).toBe('c'.repeat(10));
    await read(clients[0]!.socket, MUCH);
    await until(() => queued(core) === 0);
    await send(1, MUCH, 'd');
    expect((await read(clients[1]!.socket, MUCH)).equals(Buffer.alloc(MUCH, 'd'))).toBe(true);
    await until(() => queued(core) === 0);
  });

  test('in all, the session beyond the limit closes by default, and its bytes count no more', async () => {
    const { core, notes, clients, send } = await serve({ inAll: MUCH }, 2);
    await send(0, MUCH, 'a');
    clients[1]!.socket.write(`send ${MUCH} b\n`);
    await notes.noted(ENDS.ENOBUFS);
    await until(() => clients.some(({ socket }) => socket.destroyed) || queued(core) <= MUCH);
    await read(clients[0]!.socket, MUCH);
    await until(() => queued(core) === 0);
  });
});

// Elsewhere there is no shared port for sockets.
test.runIf(available)('the bytes of a session that is lost with its thread count no more', async () => {
  const notes = new Notes();
  const { core, port } = await serveShared(
    'queue',
    { concurrency: 2, threads: 3 },
    { queueLimit: { inAll: 60_000_000 } },
  );
  const clients = await connect(port, 2);
  for (const { socket } of clients) {
    socket.pause();
    socket.write(`send ${MUCH} a\n`);
  }
  await until(() => notes.log.filter((note) => note === REFUSED).length === 2);
  const both = tableOf(core).queuedInAll;
  clients[0]!.socket.write('exit\n');
  await notes.noted(ENDS.ECHILD);
  // A send of the kernel may have to end first.
  clients[0]!.socket.resume();
  await until(() => tableOf(core).queuedInAll < both);
  clients[1]!.socket.resume();
  await until(() => tableOf(core).queuedInAll === 0);
  clients[1]!.socket.end();
  await once(clients[1]!.socket, 'close');
});
