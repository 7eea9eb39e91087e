// The happenings on the lab's port, as its page gets them.

import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import type { Happening } from '../lab/messages.js';
import { interrupt, open, post, startLab } from './lab-process.js';

const PACKETS = 20;
const requests = (seen: readonly Happening[], kind: Happening[1]) =>
  seen.filter((each) => each[1] === kind).map((each) => each[3]);

test('packets leave the queue in the order in which they came, and with one place one handler runs at a time', async () => {
  const { url } = await startLab();
  const { greeting, until } = await open(url, { concurrency: 1, load: 0, work: 10, blocking: 0 });
  expect(greeting).toMatchObject({ threads: 2, settings: { concurrency: 1, load: 0 } });
  await post(url, '/send', String(PACKETS));
  const seen = await until('done', PACKETS);
  const sent = requests(seen, 'sent');
  expect(sent).toHaveLength(PACKETS);
  expect(requests(seen, 'started')).toEqual(sent);
  // A thread that computes is seen asleep now and then on a busy machine, and then loses its place.
  let running = 0;
  let together = 0;
  for (const [, kind] of seen) {
    if (kind === 'started' && running++ > 0) together++;
    if (kind === 'done') running--;
  }
  expect(together).toBeLessThan(PACKETS / 4);
});

test('where a handler blocks its thread, another thread takes the next packet', async () => {
  const { url } = await startLab();
  const { until } = await open(url, { concurrency: 1, load: 0, work: 1000, blocking: 100 });
  await post(url, '/send', '2');
  const seen = await until('done', 2);
  const started = seen.filter(([, kind]) => kind === 'started');
  expect(new Set(started.map(([, , thread]) => thread)).size).toBe(2);
  const kinds = seen.map(([, kind]) => kind).filter((kind) => kind === 'started' || kind === 'resumed');
  expect(kinds).toEqual(['started', 'started', 'resumed', 'resumed']);
});

test('one packet at a time keeps few threads at work', async () => {
  const { url } = await startLab();
  const { until } = await open(url, { concurrency: 4, load: 0, work: 10, blocking: 0 });
  let seen: readonly Happening[] = [];
  for (let done = 1; done <= PACKETS; done++) {
    await post(url, '/send', '1');
    seen = await until('done', done);
  }
  const counts = new Map<number, number>();
  for (const [, kind, thread] of seen) if (kind === 'done') counts.set(thread, (counts.get(thread) ?? 0) + 1);
  const [most = 0, next = 0] = [...counts.values()].sort((a, b) => b - a);
  // In turns two of the eight threads would have a quarter.
  expect(most + next).toBeGreaterThan(PACKETS / 2);
});

test('the load sends what the settings say, blocking handlers spread evenly', async () => {
  const { url } = await startLab();
  const early = await open(url, { concurrency: 1, load: 40, work: 10, blocking: 50 });
  const seen = await early.until('sent', PACKETS);
  const blocking = seen.filter(([, kind]) => kind === 'sent').map((each) => each[4]);
  expect(blocking.slice(0, 6)).toEqual([0, 1, 0, 1, 0, 1]);
  expect(requests(seen, 'sent')[0]).toBe(1);
});

test('the load can stop, and go on', async () => {
  const { url } = await startLab();
  const settings = { concurrency: 1, load: 0, work: 10, blocking: 0 };
  const { until } = await open(url, settings);
  await post(url, '/settings', JSON.stringify({ ...settings, load: 20 }));
  // After each change the page gets all happenings again.
  expect(requests(await until('sent', 3), 'sent').at(-1)).toBeGreaterThan(0);
});

test('settings out of range, and bodies that are none, are refused with the reason', async () => {
  const { url } = await startLab();
  const reasonOf = async (path: string, body: string) => {
    const response = await post(url, path, body);
    return [response.status, await response.text()];
  };
  const settings = { concurrency: 2, load: 1, work: 10, blocking: 0 };
  const reason = await reasonOf('/settings', JSON.stringify({ ...settings, concurrency: 9 }));
  expect(reason).toEqual([400, 'concurrency must be a whole number from 1 to 8']);
  expect((await reasonOf('/settings', 'null'))[0]).toBe(400);
  expect((await reasonOf('/settings', '{'))[0]).toBe(400);
  expect(await reasonOf('/send', '33')).toEqual([400, 'send 1 to 32 packets']);
  expect(await reasonOf('/send', ' '.repeat(1001))).toEqual([400, 'a request has 1000 bytes at most']);
  expect((await post(url, '/settings', JSON.stringify(settings))).status).toBe(204);
});

test('Ctrl-C ends it in order, also while a page is open', async () => {
  const lab = await startLab();
  await open(lab.url, { concurrency: 1, load: 0, work: 10, blocking: 0 });
  expect(await interrupt(lab)).toBe(0);
  // The page's port is free again.
  const server = createServer().listen(Number(new URL(lab.url).port), '127.0.0.1');
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
  server.close();
});
