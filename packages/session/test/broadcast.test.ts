// Broadcasts: every session of a server or of a group gets the bytes once and in order, whichever threads they live in, and
// what the messages took comes back.

import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { IocpCore } from '@overlapped/net-core';
import { broadcast, Listener, Session } from '@overlapped/session';
import { expect, onTestFinished, test } from 'vitest';
import { onEachBackend } from './support.js';
import { byThread, type Client, connect, isNative, serve, until } from './threads.js';

const CHAT = new URL('./modules/chat.js', import.meta.url);

/** Reads until `length` bytes are there. */
async function read({ socket }: Client, length: number): Promise<string> {
  let text = '';
  while (text.length < length) text += String((await once(socket, 'data'))[0]);
  return text;
}

/** A high watermark, and half of it: a message that a client has heard may still count as queued when the next one comes. */
const WATERMARK = 65_536;
const HALF = WATERMARK / 2;

/** Broadcasts, and has everyone of these hear it, until another client is passed over. The high watermark is WATERMARK. */
async function sayUntilSkipped(core: IocpCore, clients: readonly Client[]): Promise<void> {
  while (core.stats().total.skipped === 0) {
    const heard = clients.map((client) => read(client, HALF));
    clients[0]!.socket.write(`big ${HALF} x`);
    await Promise.all(heard);
  }
}

onEachBackend((backend) => {
  test('everyone gets what one session says, once', async () => {
    const { port } = await serve({ backend }, { module: CHAT });
    const clients = await connect(port, 10);
    await byThread(clients);
    const heard = clients.map((client) => read(client, 'hello all'.length));
    clients[0]!.socket.write('all hello all');
    expect(await Promise.all(heard)).toEqual(clients.map(() => 'hello all'));
    // Nothing came twice: the next answer is the next thing that each hears.
    expect(await Promise.all(clients.map((client) => client.ask('join x')))).toEqual(clients.map(() => 'ok'));
  });

  test('a session that is over says goodbye to those that stay, in each thread', async () => {
    const { port } = await serve({ backend }, { module: CHAT });
    const [leaving, ...staying] = await connect(port, 6);
    await byThread(staying);
    expect(await leaving!.ask('name ann')).toBe('ok');
    const heard = staying.map((client) => read(client, 'ann left'.length));
    leaving!.socket.end();
    expect(await Promise.all(heard)).toEqual(staying.map(() => 'ann left'));
  });

  test('after its end a session joins nothing, and on a core that has stopped it reaches nobody', async () => {
    const core = new IocpCore({ backend, threads: 0 });
    const over = new Promise<Session>((resolve) => {
      class Late extends Session {
        override onDisconnected() {
          this.join('room');
          resolve(this);
        }
      }
      void Listener.listen(core, { host: '127.0.0.1', port: 0, session: Late }).then(({ endpoint }) =>
        net.connect(endpoint.port, endpoint.address).end(),
      );
    });
    const session = await over;
    expect(broadcast(core, 'to nobody', 'room')).toBe(true);
    await core.stop();
    expect(session.broadcast('too late')).toBe(false);
    expect(broadcast(core, 'too late')).toBe(false);
  });

  test('a group gets what is said to it, and nobody else does', async () => {
    const { core, port } = await serve({ backend }, { module: CHAT });
    const clients = await connect(port, 8);
    await byThread(clients);
    const [one, two, three, ...others] = clients;
    const members = [one!, two!, three!];
    for (const member of members) expect(await member.ask('join room')).toBe('ok');
    expect(await three!.ask('leave room')).toBe('ok');
    const heard = [one!, two!].map((client) => read(client, 'psst'.length));
    others[0]!.socket.write('to room psst');
    expect(await Promise.all(heard)).toEqual(['psst', 'psst']);
    const all = clients.map((client) => read(client, 'from the core'.length));
    expect(broadcast(core, 'from the core')).toBe(true);
    // Whoever had heard the secret would have it before this.
    expect(await Promise.all(all)).toEqual(clients.map(() => 'from the core'));
  });

  test('a session is in any number of groups, in each of them once, until it leaves', async () => {
    const { core, port } = await serve({ backend }, { module: CHAT });
    const [client] = await connect(port, 1);
    // Out of the group that it is in from the start, so that `a` is its first.
    const words = 'leave ,join a,join b,join c,leave a,join b,join a,leave a,leave a,leave c'.split(',');
    for (const word of words) expect(await client!.ask(word)).toBe('ok');
    for (const group of ['a', 'c', 'b']) broadcast(core, group, group);
    expect(await read(client!, 1)).toBe('b');
    for (const word of ['join d', 'leave b']) expect(await client!.ask(word)).toBe('ok');
    for (const group of ['b', '', 'd']) broadcast(core, `to ${group}`, group);
    expect(await read(client!, 4)).toBe('to d');
  });

  test('large messages arrive whole and in order, many times over', async () => {
    const { core, port } = await serve({ backend }, { module: CHAT });
    const clients = await connect(port, 4);
    await byThread(clients);
    const size = 300_000;
    for (let round = 0; round < 40; round++) {
      const letter = String.fromCharCode(97 + (round % 26));
      const heard = clients.map((client) => read(client, size));
      clients[round % 4]!.socket.write(`big ${size} ${letter}`);
      const expected = letter.repeat(size);
      for (const text of await Promise.all(heard)) expect(text === expected).toBe(true);
    }
    expect(core.stats().total.skipped).toBe(0);
  });

  test('what is broadcast in one batch is one send of each session', async () => {
    const core = new IocpCore({ backend, threads: 0 });
    onTestFinished(() => core.stop(0));
    const onReceive = () => {
      for (let i = 0; i < 10; i++) broadcast(core, `message ${i}`);
    };
    const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, session: { onReceive } });
    const clients = await connect(endpoint.port, 10);
    await until(() => core.stats().total.sessions === 10);
    const { packets } = core.stats().total;
    clients[0]!.socket.write('x');
    const heard = await Promise.all(clients.map((client) => read(client, 90)));
    await until(() => core.stats().total.bytesQueued === 0);
    expect(new Set(heard)).toEqual(new Set([Array.from({ length: 10 }, (_, i) => `message ${i}`).join('')]));
    // One more packet is that of what the first client has said. Those of sends may still be on their way.
    expect(core.stats().total.packets - packets).toBeLessThanOrEqual(11);
  });

  test('a client that does not read is passed over, and costs the others nothing', async () => {
    const { core, port } = await serve({ backend }, { module: CHAT, highWatermark: WATERMARK });
    const [slow, ...clients] = await connect(port, 5);
    await byThread([slow!, ...clients]);
    slow!.socket.pause();
    await sayUntilSkipped(core, clients);
    slow!.socket.destroy();
    await slow!.closed;
    const heard = clients.map((client) => read(client, 'still here'.length));
    clients[0]!.socket.write('all still here');
    expect(await Promise.all(heard)).toEqual(clients.map(() => 'still here'));
  });

  test('by `slowMembers` a client that does not read is closed, and counted', async () => {
    const { core, port } = await serve({ backend }, { module: CHAT, highWatermark: WATERMARK, slowMembers: 'close' });
    const [slow, ...clients] = await connect(port, 3);
    await byThread([slow!, ...clients]);
    slow!.socket.pause();
    await sayUntilSkipped(core, clients);
    slow!.socket.resume();
    await slow!.closed;
    expect(core.stats().total.skipped).toBe(1);
  });

  test('clients that do not read do not keep short messages from the others, however many there are', async () => {
    const { core, port } = await serve({ backend }, { module: CHAT, highWatermark: 1 << 24 });
    const clients = await connect(port, 4);
    // One of each thread reads: until a thread comes to them, it holds messages for all of its clients.
    const readers = [...(await byThread(clients)).values()].map(([first]) => first!);
    for (const client of clients) if (!readers.includes(client)) client.socket.pause();
    const say = async (text: string, times: number) => {
      const heard = readers.map((reader) => read(reader, times * text.length));
      for (let i = 0; i < times; i++) expect(broadcast(core, text)).toBe(true);
      await Promise.all(heard);
    };
    // The kernel takes the first megabytes. When the rest waits, short ones, more than can be under way at a time.
    while (core.stats().total.bytesQueued < 1_000_000) await say('x'.repeat(20_000), 10);
    for (let i = 0; i < 30; i++) await say('short', 100);
    expect(core.stats().total).toMatchObject({ skipped: 0 });
  });

  test('clients that do not read do not keep long messages from the others, however many there are', async () => {
    const { core, port } = await serve(
      { backend },
      { module: CHAT, ...(isNative(backend) && { sendBufferSize: 4096 }) },
    );
    const [reader] = await connect(port, 1);
    await reader!.ask('who');
    // Each stops when others have stopped already, and keeps messages of its own for ever.
    for (let i = 0; i < 100; i++) {
      const [client] = await connect(port, 1);
      await client!.ask('who');
      client!.socket.pause();
      for (let j = 0; j < 5; j++) {
        const heard = read(reader!, 60_000);
        expect(broadcast(core, Buffer.alloc(60_000, 'x'))).toBe(true);
        await heard;
      }
    }
    expect(core.stats().total.bytesQueued).toBeGreaterThan(60_000);
  });

  test('what is too long is refused', async () => {
    const { core } = await serve({ backend }, { module: CHAT });
    expect(() => broadcast(core, Buffer.alloc(1 << 20))).toThrow(RangeError);
    expect(() => broadcast(core, 'x', 'y'.repeat(2000))).toThrow(RangeError);
  });

  // There all sessions are on one thread.
  test.runIf(isNative(backend))('the loss of a thread gives back what it held', async () => {
    const { core, nextLoss, port } = await serve({ backend, threads: 1 }, { module: CHAT, highWatermark: 1 << 24 });
    const folder = mkdtempSync(join(tmpdir(), 'room-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'hold');
    const message = Buffer.alloc(32_000, 'x');

    /** Which messages there is room for while the thread takes none of them. It is lost before it takes the first one. */
    const fillAndLose = async (client: Client): Promise<number> => {
      client.socket.write(`hold ${file}`);
      await until(() => existsSync(file));
      let count = 0;
      // More than there is room for means that they are not held.
      while (count < 1024 && broadcast(core, message)) count++;
      const loss = nextLoss();
      rmSync(file);
      await loss;
      return count;
    };
    const served = async (): Promise<Client> => {
      const [client] = await connect(port, 1);
      await client!.ask('who');
      return client!;
    };

    // What the first thread has been told of, and does not take any more, comes back.
    const whole = await fillAndLose(await served());
    expect(whole).toBeLessThan(1024);
    // The next one takes messages, and cannot get rid of them: the kernel reads them for a client that does not read.
    const [slow, reader] = [await served(), await served()];
    slow.socket.pause();
    // One at a time: of several that wait in the session some are copies. The last one's send does not end.
    let held = false;
    while (!held) {
      const heard = read(reader, message.length);
      expect(broadcast(core, message)).toBe(true);
      await heard;
      const patience = performance.now() + 2000;
      while (core.stats().total.bytesQueued > 0 && !held) {
        await delay(1);
        held = performance.now() > patience;
      }
    }
    const rest = await fillAndLose(reader);
    expect(rest).toBeGreaterThan(0);
    expect(rest).toBeLessThan(whole);
    // All of it comes back, also when another thread measures it.
    expect(await fillAndLose(await served())).toBe(whole);
  });
});
