// Several servers, joined by a real Redis: which goes away and comes back.

import { candidates } from '@overlapped/session';
import { createClient } from 'redis';
import { expect, test } from 'vitest';
import { freePort } from '../../../vitest.ports.js';
import { Client, serve, startRedis, withRedis } from './support.js';

const native = candidates().some(({ name, availability }) => name !== 'portable' && availability.available);

/** Two servers and a member of the lobby on each; the first has worker threads where there can be some. */
async function twoServers(redisPort: number, threads = native ? '2' : '0') {
  const url = `redis://127.0.0.1:${redisPort}`;
  const servers = [await serve('--redis', url, '--threads', threads), await serve('--redis', url)] as const;
  const clients = [await Client.connect(servers[0].port, 'ann'), await Client.connect(servers[1].port, 'bob')] as const;
  const nextLines = () => Promise.all(servers.map(({ nextLine }) => nextLine()));
  return { servers, clients, nextLines };
}

withRedis(() => {
  test('a room spans servers: every member gets each text once, in order', async () => {
    const port = await freePort();
    await startRedis(port);
    const { clients, nextLines } = await twoServers(port);
    const [ann, bob] = clients;
    expect(await nextLines()).toEqual(['back plane joined', 'back plane joined']);
    for (let i = 0; i < 200; i++) ann.say(`${i}`);
    for (const member of clients) for (let i = 0; i < 200; i++) expect(await member.hear()).toBe(`ann: ${i}`);
    bob.say('and back');
    for (const member of clients) expect(await member.hear()).toBe('bob: and back');
    // It tells of members on other servers, too.
    await bob.join('attic', 'bob');
    expect(await ann.next()).toEqual({ type: 'left', room: 'lobby', name: 'bob' });
    // Other rooms are not theirs, on either server.
    await bob.join('cellar', 'bob');
    bob.say('psst');
    expect(await bob.hear()).toBe('bob: psst');
    await bob.join('lobby', 'bob');
    bob.say('back again');
    expect(await ann.hear()).toBe('bob: back again');
  });

  test('while Redis is away rooms go on within each server; when it is back they span again', async () => {
    const port = await freePort();
    const redis = await startRedis(port);
    const { clients, nextLines } = await twoServers(port);
    const [ann, bob] = clients;
    await nextLines();
    redis.child.kill('SIGKILL');
    for (const line of await nextLines()) expect(line).toMatch(/^back plane lost: /);
    for (const client of clients) {
      client.say('alone');
      expect(await client.hear()).toMatch(/^\w+: alone$/);
    }
    await startRedis(port);
    const missed = 'back plane joined; other servers may have missed messages: 1';
    expect(await nextLines()).toEqual([missed, missed]);
    ann.say('together');
    // The texts of that time are gone: this is the next that he hears.
    for (const member of clients) expect(await member.hear()).toBe('ann: together');
    bob.say('indeed');
    for (const member of clients) expect(await member.hear()).toBe('bob: indeed');
  });

  test('a server starts without its Redis, and joins when that is there', async () => {
    const port = await freePort();
    const { clients, nextLines } = await twoServers(port);
    for (const line of await nextLines()) expect(line).toMatch(/^back plane lost: .*ECONNREFUSED/);
    await startRedis(port);
    expect(await nextLines()).toEqual(['back plane joined', 'back plane joined']);
    clients[0].say('hello');
    expect(await clients[1].hear()).toBe('ann: hello');
  });

  test('a Redis that hangs delays no client, and uses no more memory than it may', async () => {
    const port = await freePort();
    const redis = await startRedis(port);
    // With threads it would refuse texts that come faster than each of them hears them.
    const { clients, nextLines } = await twoServers(port, '0');
    const [ann, bob] = clients;
    await nextLines();
    redis.child.kill('SIGSTOP');
    for (let i = 0; i < 3000; i += 100) {
      for (let j = i; j < i + 100; j++) ann.say(`${j}`);
      for (let j = i; j < i + 100; j++) expect(await ann.hear()).toBe(`ann: ${j}`);
    }
    redis.child.kill('SIGCONT');
    // Those that waited come late, and the rest not at all; then everything does.
    let last = '';
    let heard = 0;
    for (let i = 0; last !== 'ann: over'; heard++) {
      if (i++ % 100 === 0) ann.say('over');
      last = await bob.hear();
    }
    expect(heard).toBeLessThan(3000);
  });

  test('what others publish there is no reason to end', async () => {
    const port = await freePort();
    await startRedis(port);
    const { clients, nextLines } = await twoServers(port);
    await nextLines();
    const stranger = createClient({ url: `redis://127.0.0.1:${port}` });
    await stranger.connect();
    const said = { type: 'said', room: 'lobby', name: 'eve', text: 'x' };
    const strange = [
      '',
      '{',
      'null',
      '7',
      '{"from":"x"}',
      JSON.stringify({ from: 'x', notice: { ...said, text: 'y'.repeat(9999) } }),
    ];
    for (const message of strange) expect(await stranger.publish('overlapped-chat', message)).toBe(2);
    await stranger.publish('overlapped-chat', JSON.stringify({ from: 'x', notice: said }));
    for (const client of clients) expect(await client.hear()).toBe('eve: x');
    stranger.destroy();
  });

  test.each([true, false])('a signal ends the server in order, with its Redis there: %s', async (there) => {
    const port = await freePort();
    if (there) await startRedis(port);
    const { servers, nextLines } = await twoServers(port);
    await nextLines();
    for (const { child } of servers) child.kill('SIGTERM');
    expect(await Promise.all(servers.map(({ exited }) => exited))).toEqual([0, 0]);
  });
});
