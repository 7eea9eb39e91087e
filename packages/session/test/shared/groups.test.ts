// Groups of shared sessions with real sockets: a broadcast reaches each member once and in order, from whichever thread it comes.

import { once } from 'node:events';
import type { IocpCoreOptions } from '@overlapped/net-core';
import { broadcast } from '@overlapped/session';
import { describe, expect, test } from 'vitest';
import { type Client, connect, until } from '../threads.js';
import { available, serveShared } from './support.js';

/** Reads until `length` bytes are there. */
async function read({ socket }: Client, length: number): Promise<string> {
  const pieces: Buffer[] = [];
  for (let got = 0; got < length; got += pieces.at(-1)!.length) pieces.push((await once(socket, 'data'))[0]);
  return String(Buffer.concat(pieces));
}

describe.each<[string, IocpCoreOptions]>([
  ...(available ? [['on a shared port', { concurrency: 4, threads: 8 }] as [string, IocpCoreOptions]] : []),
  ['on the thread of the core', { backend: 'portable' }],
])('groups of shared sessions, %s', (_, options) => {
  test('everyone gets what one session says, once', async () => {
    const { port } = await serveShared('room', options);
    const clients = await connect(port, 10);
    for (const client of clients) expect(await client.ask('join x')).toBe('ok');
    const heard = clients.map((client) => read(client, 'hello all'.length));
    clients[0]!.socket.write('say  hello all');
    expect(await Promise.all(heard)).toEqual(clients.map(() => 'hello all'));
    expect(await Promise.all(clients.map((client) => client.ask('nothing')))).toEqual(clients.map(() => '?'));
  });

  test('a group gets what is said to it, and the others do not', async () => {
    const { core, port } = await serveShared('room', options);
    const clients = await connect(port, 8);
    for (const client of clients) expect(await client.ask('nothing')).toBe('?');
    const [one, two, three, ...others] = clients;
    for (const member of [one!, two!, three!]) expect(await member.ask('join room')).toBe('ok');
    expect(await three!.ask('leave room')).toBe('ok');
    const heard = [one!, two!].map((client) => read(client, 'psst'.length));
    others[0]!.socket.write('say room psst');
    expect(await Promise.all(heard)).toEqual(['psst', 'psst']);
    const all = clients.map((client) => read(client, 'from the core'.length));
    expect(broadcast(core, 'from the core')).toBe(true);
    expect(await Promise.all(all)).toEqual(clients.map(() => 'from the core'));
  });

  test('a session is in any number of groups, in each of them once, until it leaves', async () => {
    const { core, port } = await serveShared('room', options);
    const [client] = await connect(port, 1);
    const words = 'leave ,join a,join b,join c,leave a,join b,join a,leave a,leave a,leave c'.split(',');
    for (const word of words) expect(await client!.ask(word)).toBe('ok');
    for (const group of ['a', 'c', '', 'b']) broadcast(core, `to ${group}`, group);
    expect(await read(client!, 4)).toBe('to b');
    expect(await client!.ask('join ')).toBe('ok');
    broadcast(core, 'to b', 'a');
    broadcast(core, 'all');
    expect(await read(client!, 3)).toBe('all');
  });

  test('a session that is over is in no group, and the one that gets its record neither', async () => {
    const { core, port } = await serveShared('room', options);
    for (let round = 0; round < 5; round++) {
      const [leaving, staying] = await connect(port, 2);
      expect(await leaving!.ask('join room')).toBe('ok');
      expect(await staying!.ask('nothing')).toBe('?');
      expect(await leaving!.ask(`last  ${round} left`)).toBe('ok');
      const heard = read(staying!, 6);
      leaving!.socket.end();
      expect(await heard).toBe(`${round} left`);
      // A session that begins before the broadcast of onDisconnected is over may get it, too. The record is free behind it.
      await until(() => core.stats().total.sessions === 1);
      const [next] = await connect(port, 1);
      expect(await next!.ask('nothing')).toBe('?');
      broadcast(core, 'to the room', 'room');
      broadcast(core, 'to the late', 'late');
      broadcast(core, 'all');
      expect(await read(next!, 3)).toBe('all');
      for (const client of [next!, staying!]) client.socket.resume().end();
      await until(() => core.stats().total.sessions === 0);
    }
  });

  test('a large message arrives whole', async () => {
    const { port } = await serveShared('room', options);
    const clients = await connect(port, 5);
    for (const client of clients) expect(await client.ask('join room')).toBe('ok');
    const heard = clients.map((client) => read(client, 200_000));
    clients[0]!.socket.write('big room 200000 x');
    for (const text of await Promise.all(heard)) expect(text === 'x'.repeat(200_000)).toBe(true);
  });

  test('a session that does not read is skipped, and gets what comes later', async () => {
    const { core, port } = await serveShared('room', options, { highWatermark: 100_000 });
    const [slow, fast] = await connect(port, 2);
    for (const client of [slow!, fast!]) expect(await client.ask('join room')).toBe('ok');
    slow!.socket.pause();
    const rounds = 200;
    for (let i = 0; i < rounds; i++) {
      const heard = read(fast!, 65_536);
      broadcast(core, 'y'.repeat(65_536), 'room');
      expect((await heard).length).toBe(65_536);
    }
    let got = 0;
    let last = '';
    slow!.socket.on('data', (piece: Buffer) => {
      got += piece.length;
      last = String(piece.subarray(-1));
    });
    slow!.socket.resume();
    await until(() => {
      broadcast(core, 'z', 'room');
      return last === 'z';
    });
    expect(got).toBeLessThan(rounds * 65_536);
    expect(core.stats().total.skipped).toBeGreaterThan(0);
  });

  test("with slowMembers: 'close' a session that does not read is closed", async () => {
    const more = { highWatermark: 100_000, slowMembers: 'close' } as const;
    const { core, port } = await serveShared('room', options, more);
    const [slow, fast] = await connect(port, 2);
    for (const client of [slow!, fast!]) expect(await client.ask('join room')).toBe('ok');
    expect(await slow!.ask('last  too slow')).toBe('ok');
    slow!.socket.pause();
    // The end of the slow session says so to everyone.
    let tail = '';
    let heard = false;
    fast!.socket.on('data', (piece: Buffer) => {
      const text = tail + String(piece);
      heard ||= text.includes('too slow');
      tail = text.slice(-7);
    });
    await until(() => {
      broadcast(core, 'y'.repeat(65_536), 'room');
      return heard;
    });
    slow!.socket.resume();
    await slow!.closed;
  });
});

// Elsewhere there is no shared port for sockets.
describe.runIf(available)('groups on a shared port', () => {
  test('what sessions of several threads say at once arrives in the order of each', async () => {
    const { port } = await serveShared('room', { concurrency: 4, threads: 8 });
    const clients = await connect(port, 6);
    for (const client of clients) expect(await client.ask('nothing')).toBe('?');
    const each = 500;
    const heard = clients.map((client) => read(client, clients.length * each * 6));
    for (const [i, { socket }] of clients.entries()) socket.write(`many ${String.fromCharCode(97 + i)} ${each}`);
    for (const text of await Promise.all(heard)) {
      const next = new Map<string, number>();
      for (const [, name, number] of text.matchAll(/(.)(\d{5})/g)) {
        expect(Number(number)).toBe(next.get(name!) ?? 0);
        next.set(name!, Number(number) + 1);
      }
      expect([...next.values()]).toEqual(clients.map(() => each));
    }
  });

  test('a thread that ends takes its session out of its groups', async () => {
    const { core, port } = await serveShared('room', { concurrency: 1, threads: 2 });
    for (let round = 0; round < 3; round++) {
      const [bad, good] = await connect(port, 2);
      for (const client of [bad!, good!]) expect(await client.ask('join room')).toBe('ok');
      bad!.socket.write('exit');
      await bad!.closed;
      const [next] = await connect(port, 1);
      expect(await next!.ask('nothing')).toBe('?');
      const heard = read(good!, 4);
      broadcast(core, 'psst', 'room');
      expect(await heard).toBe('psst');
      broadcast(core, 'all');
      expect(await read(next!, 3)).toBe('all');
      for (const { socket, closed } of [good!, next!]) {
        socket.resume().end();
        await closed;
      }
    }
  });
});
