// One server, seen by its clients, on each backend, on the main thread and in worker threads.

import { describe, expect, onTestFinished, test } from 'vitest';
import { type ChatOptions, startChat } from '../src/server.js';
import { Client, ways } from './support.js';

describe.each(ways)('$backend with $threads worker threads', ({ backend, threads }) => {
  async function startHere(more: Partial<ChatOptions> = {}) {
    const options = { host: '127.0.0.1', port: 0, patience: 60, backend, threads, ...more };
    const { core, listener } = await startChat(options, () => expect.fail('there is no back plane'));
    onTestFinished(() => core.stop(500));
    const { port } = listener.endpoint;
    return { core, port };
  }

  test('what is said in a room is heard by its members, in order, and by no other client', async () => {
    const { port } = await startHere();
    const [ann, bob, eve] = [
      await Client.connect(port, 'ann', 'garden'),
      await Client.connect(port, 'bob', 'garden'),
      await Client.connect(port, 'eve', 'cellar'),
    ];
    for (let i = 0; i < 100; i++) ann.say(`${i}`);
    for (const member of [ann, bob]) for (let i = 0; i < 100; i++) expect(await member.hear()).toBe(`ann: ${i}`);
    bob.say('Grüße, 世界');
    expect(await ann.hear()).toBe('bob: Grüße, 世界');
    // She would have heard the others before this.
    eve.say('echo');
    expect(await eve.hear()).toBe('eve: echo');
  });

  test('the members of a room are told of each client that enters or leaves it', async () => {
    const { port } = await startHere();
    const ann = await Client.connect(port, 'ann', 'garden');
    const bob = await Client.connect(port, 'bob', 'garden');
    expect(await ann.next()).toEqual({ type: 'entered', room: 'garden', name: 'bob' });
    await bob.join('cellar', 'bob');
    expect(await ann.next()).toEqual({ type: 'left', room: 'garden', name: 'bob' });
    await bob.join('garden', 'rob');
    expect(await ann.next()).toEqual({ type: 'entered', room: 'garden', name: 'rob' });
    // Also when a connection breaks.
    bob.socket.resetAndDestroy();
    expect(await ann.next()).toEqual({ type: 'left', room: 'garden', name: 'rob' });
    // A client is not told of itself.
    ann.say('alone');
    expect(await ann.next()).toMatchObject({ type: 'said', text: 'alone' });
  });

  test('a client that joins another room has left the first', async () => {
    const { port } = await startHere();
    const [ann, bob] = [await Client.connect(port, 'ann'), await Client.connect(port, 'bob')];
    await ann.join('garden', 'anna');
    bob.say('is she gone?');
    expect(await bob.hear()).toBe('bob: is she gone?');
    ann.say('alone');
    expect(await ann.hear()).toBe('anna: alone');
  });

  test('what is no request is refused, and the client stays', async () => {
    const { port } = await startHere();
    const client = await Client.connect(port);
    const refused = ['', 'null', '[]', '{"type":"say"}', '{"type":"join","room":"","name":"x"}', '{"type":"dance"}'];
    for (const request of [...refused, '{"type":"say","text":"but where?"}']) {
      client.write(request);
      expect(await client.next()).toMatchObject({ type: 'refused' });
    }
    // Invisible letters, and one that reverses the text behind it.
    for (const name of ['\u3164', '\u1160', 'a\uffa0', 'a\u202eb']) {
      client.write(JSON.stringify({ type: 'join', room: 'lobby', name }));
      expect(await client.next()).toMatchObject({ type: 'refused' });
    }
    await client.join('lobby', 'x'.repeat(32));
    client.say('x'.repeat(2001));
    expect(await client.next()).toMatchObject({ type: 'refused' });
    // The longest that there is, and the longest on the wire.
    client.say('\0'.repeat(2000));
    expect(await client.hear()).toBe(`${'x'.repeat(32)}: ${'\0'.repeat(2000)}`);
  });

  test('a frame that is too long closes the connection', async () => {
    const { port } = await startHere();
    const client = await Client.connect(port, 'ann');
    client.write('x'.repeat(16_383));
    await expect(client.next()).rejects.toThrow('the server ended it');
  });

  test('a client that does not read is skipped, delays no other client, and hears again when it reads', async () => {
    const { core, port } = await startHere();
    const [slow, ann, bob] = [
      await Client.connect(port, 'slow'),
      await Client.connect(port, 'ann'),
      await Client.connect(port, 'bob'),
    ];
    const text = 'x'.repeat(1900);
    let said = 0;
    // Unread texts fill the kernel's buffers, then its queue; then it is skipped, again and again.
    while (core.stats().total.skipped < 500) {
      for (let i = 0; i < 50; i++) ann.say(`${said + i} ${text}`);
      for (let i = 0; i < 50; i++) {
        for (const member of [ann, bob]) expect(await member.hear()).toBe(`ann: ${said + i} ${text}`);
      }
      said += 50;
      // One message above the high watermark at most; and the texts under way to the others.
      expect(core.stats().total.bytesQueued).toBeLessThan(262_144 + 4 * 2048 * 50);
    }
    const heard: string[] = [];
    const reading = (async () => {
      for (let text = ''; text !== 'ann: the end'; heard.push(text)) text = await slow.hear();
    })();
    // Then it has got all that waited, and is not passed over any more.
    while (core.stats().total.bytesQueued > 0) await new Promise((resolve) => setImmediate(resolve));
    ann.say('the end');
    await reading;
    expect(heard.length).toBeLessThan(said);
    // In order and whole, with holes where it was passed over: the kernel may have taken more meanwhile.
    const numbers = heard.slice(0, -1).map((line) => Number(line.split(' ')[1]));
    expect(heard.slice(0, -1)).toEqual(numbers.map((i) => `ann: ${i} ${text}`));
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  });

  test('a client that asks and does not read the answers is not read from', async () => {
    const { core, port } = await startHere();
    const client = await Client.connect(port);
    const other = await Client.connect(port, 'ann');
    const request = JSON.stringify({ type: 'say', text: 'tick' });
    let received = 0;
    // Until nothing more of it has come, ten times in a row, while the server answers another client.
    for (let still = 0; still < 10; ) {
      // Empty requests, each of which is refused at length.
      while (client.socket.write(Buffer.alloc(20_000)));
      other.write(request);
      expect(await other.hear()).toBe('ann: tick');
      received += 2 + request.length;
      const { bytesReceived } = core.stats().total;
      still = bytesReceived === received ? still + 1 : 0;
      received = bytesReceived;
    }
    expect(core.stats().total.bytesQueued).toBeLessThan(16_384 + 1024);
  });
});
