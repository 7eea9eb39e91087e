// Posted packets: first in, first out, with their payloads, from this thread and from others.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { openPoster } from '@overlapped/iocp-native';
import { describe, expect, test } from 'vitest';
import { backends, Inbox, makeCore } from './support.js';

describe.each(backends)('user events, by %s', (backend) => {
  test('come first in, first out, with their payloads', async () => {
    const core = makeCore({ backend });
    const count = 3000;
    const inbox = new Inbox<{ i: number }>(count);
    const payloads = Array.from({ length: count }, (_, i) => ({ i }));
    for (const payload of payloads) core.post(inbox, payload);
    expect(inbox.got, 'a post calls nobody back').toEqual([]);
    await inbox.all;
    expect(inbox.got.length).toBe(count);
    expect(inbox.got.every((payload, i) => payload === payloads[i])).toBe(true);
  });

  test('posted by a handler come after what was posted before', async () => {
    const core = makeCore({ backend });
    const inbox = new Inbox<string>(3);
    const relay = {
      onPost(payload: string) {
        core.post(inbox, payload);
      },
    };
    core.post(relay, 'relayed');
    core.post(inbox, 'first');
    core.post(inbox, 'second');
    await inbox.all;
    expect(inbox.got).toEqual(['first', 'second', 'relayed']);
  });

  test('of other threads reach onPost, each thread in its order, none lost', async () => {
    const count = 10_000;
    const keys = [1, 2];
    const inbox = new Inbox<[number, number]>(keys.length * count);
    const core = makeCore({ backend, onPost: (key, bytes) => inbox.onPost([key, bytes]) });
    const token = core.share();
    const ends = keys.map((key) => {
      const worker = new Worker(new URL('./poster.js', import.meta.url), { workerData: { token, key, count } });
      return once(worker, 'exit');
    });
    await Promise.all([inbox.all, ...ends]);
    for (const key of keys) {
      const numbers = inbox.got.filter(([of]) => of === key).map(([, number]) => number);
      expect(numbers.length).toBe(count);
      expect(numbers.every((number, i) => number === i)).toBe(true);
    }
  }, 30_000);

  test('of other threads are dropped where nobody wants them', async () => {
    const core = makeCore({ backend });
    const inbox = new Inbox<string>(1);
    expect(openPoster(core.share()).post(1, 2)).toBe(true);
    core.post(inbox, 'after');
    await inbox.all;
    expect(inbox.got).toEqual(['after']);
  });
});
