// Rules about posted packets: their order, and other threads.

import { expect } from 'vitest';
import { openPoster } from '../../src/backend.js';
import { createBatch, Operation } from '../../src/contract/port.js';
import type { Suite } from '../support/suite.js';
import { postFromThread } from '../support/threads.js';

export function posting(suite: Suite): void {
  suite.rule('posted packets leave first in, first out', () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const count = 1000;
    for (let i = 0; i < count; i++) port.post({ i }, i);
    const batch = createBatch(17);
    const seen: number[] = [];
    for (let n = port.dequeue(batch, 0); n > 0; n = port.dequeue(batch, 0)) {
      for (const packet of batch.slice(0, n)) {
        expect(packet.operation).toBe(Operation.Post);
        expect(packet.key).toEqual({ i: packet.bytes });
        seen.push(packet.bytes);
      }
    }
    expect(seen).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(port.stats.packets).toBe(count);
    expect(port.stats.wakeUps).toBe(Math.ceil(count / 17));
  });

  suite.rule('posts and I/O do not starve each other', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    for (let i = 0; i < 100; i++) {
      port.post(i, i);
      await peer.write('a');
      await r.sent(socket, 'b');
      await r.read(stream, 1);
      expect((await pump.next('Post')).key).toBe(i);
    }
    expect((await peer.read(100)).length).toBe(100);
  });

  suite.rule('a poster of this thread posts numbers', async () => {
    const { port, pump } = suite.rig();
    const poster = openPoster(structuredClone(port.share()));
    expect(poster.post(7, 8)).toBe(true);
    expect(poster.post(0xffffffff, 0xfffffffe)).toBe(true);
    expect(await pump.next('Post')).toMatchObject({ key: 7, bytes: 8, event: null, socket: null, error: null });
    expect(await pump.next('Post')).toMatchObject({ key: 0xffffffff, bytes: 0xfffffffe });
  });

  suite.rule(
    'posts of other threads arrive, each thread in its order',
    async () => {
      const { port, pump } = suite.rig();
      const count = 10_000;
      const threads = [1, 2].map((key) => postFromThread(port.share(), key, count));
      const next = new Map([
        [1, 0],
        [2, 0],
      ]);
      for (let i = 0; i < 2 * count; i++) {
        const { key, bytes } = await pump.next('Post');
        if (next.get(key as number) !== bytes) expect(bytes, `of thread ${key}`).toBe(next.get(key as number));
        next.set(key as number, bytes + 1);
      }
      await Promise.all(threads);
      expect(pump.left).toEqual([]);
    },
    60_000,
  );

  suite.rule('a post fails on a port that is closed', () => {
    const { port } = suite.rig();
    const poster = openPoster(port.share());
    expect(poster.post(1, 1)).toBe(true);
    port.destroy();
    expect(poster.post(1, 2)).toBe(false);
  });
}
