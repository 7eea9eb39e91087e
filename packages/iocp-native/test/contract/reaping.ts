// Rules about threads that end: in order, or terminated with operations in flight, and what others may rely on then.

import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect } from 'vitest';
import { openPoster, reap, recoverPoster } from '../../src/backend.js';
import type { Endpoint } from '../../src/contract/port.js';
import { Owned } from '../../src/native/ledger.js';
import type { Peer } from '../support/peer.js';
import type { Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';
import { library, Owner, recordsOf } from '../support/threads.js';

/** A thread may wait in dequeue(), or in its event loop. */
const WAYS = [true, false];

export function reaping(suite: Suite): void {
  suite.rule('what a terminated thread had in flight is given back, and other ports go on', async () => {
    const r = suite.rig();
    for (const waits of WAYS) {
      const owner = (await Owner.open(r.port.backend, waits)).start();
      const peers = await talk(r, owner, 8);
      await handOver(r, owner);
      await owner.heard('received', peers.length + 1);
      const poster = openPoster(owner.token);
      await owner.terminate();
      expect(poster.post(7, 7)).toBe(true);
      const left: number[] = [];
      reap(owner.ledger, owner.token, (key) => left.push(key));
      expect(left).toEqual([7]);
      expect(poster.post(7, 7)).toBe(false);
      // At once: its listener takes no connection that would be lost.
      const refused = r.peer(owner.local);
      await refused.until('the refusal', () => refused.error !== null);
      expect(refused.error?.code).toBe('ECONNREFUSED');
      for (const peer of peers) {
        peer.raw.resume();
        await peer.until('the end', () => peer.ended || peer.closed);
      }
      // Once more is harmless.
      reap(owner.ledger, owner.token, (key) => left.push(key));
      expect(left).toEqual([7]);
      await r.roundTrips(3);
    }
  });

  suite.rule('what was posted to a thread that ended, and that it has not served, is left over', async () => {
    const r = suite.rig();
    for (const waits of WAYS) {
      const owner = await Owner.open(r.port.backend, waits);
      const poster = openPoster(owner.token);
      // The thread dequeues 16 at a time, and goes no further than the first. No port knows which of a batch it has served.
      for (let i = 0; i < 40; i++) expect(poster.post(1, i)).toBe(true);
      await owner.start().heard('lost');
      await owner.terminate();
      const left: [number, number][] = [];
      reap(owner.ledger, owner.token, (key, bytes) => left.push([key, bytes]));
      expect(left).toEqual(Array.from({ length: 40 }, (_, i) => [1, i]));
    }
  });

  suite.rule('a socket in the batch that a thread ends in is left over, unless it was adopted or closed', async () => {
    const r = suite.rig();
    for (const waits of WAYS) {
      const owner = await Owner.open(r.port.backend, waits);
      const poster = openPoster(owner.token);
      const listener = await r.listen({ detached: true });
      const peers: Peer[] = [];
      const handles: number[] = [];
      for (let i = 0; i < 4; i++) {
        const event = r.accept(listener);
        peers.push(r.peer(listener.localEndpoint(), false));
        handles.push((await r.pump.next('Accept', event)).handle);
      }
      // One is adopted, one is closed, and then the thread is lost: all in one batch.
      expect(poster.post(handles[0]!, 0)).toBe(true);
      expect(poster.post(2, handles[1]!)).toBe(true);
      expect(poster.post(1, 0)).toBe(true);
      for (const handle of handles.slice(2)) expect(poster.post(handle, 0)).toBe(true);
      await owner.start().heard('lost');
      await owner.terminate();
      const left: number[] = [];
      reap(owner.ledger, owner.token, (key) => left.push(key));
      expect(left).toEqual([1, ...handles.slice(2)]);
      for (const peer of peers.slice(0, 2)) {
        peer.raw.resume();
        await peer.until('the end', () => peer.ended || peer.closed);
      }
      // They live, and another port takes them.
      for (const handle of handles.slice(2)) await r.close(r.port.adopt(handle));
      await r.close(listener);
    }
  });

  suite.rule('a thread that ends in order leaves memory only', async () => {
    const r = suite.rig();
    for (const waits of WAYS) {
      const owner = (await Owner.open(r.port.backend, waits)).start();
      const peers = await talk(r, owner, 2);
      await owner.heard('received', peers.length);
      expect(openPoster(owner.token).post(0, 0)).toBe(true);
      await owner.ended();
      const records = recordsOf(owner.ledger);
      expect(records.length).toBeGreaterThan(0);
      expect(records.filter(({ kind }) => kind !== Owned.Block)).toEqual([]);
      reap(owner.ledger, owner.token, () => expect.fail('nothing was posted'));
      expect(recordsOf(owner.ledger)).toEqual([]);
      await r.roundTrips(1);
    }
  });

  suite.rule(
    "a program's own thread that ends, whatever ends it, leaves no listener, connection or descriptor",
    async () => {
      const r = suite.rig();
      const descriptors = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0);
      for (const how of ['terminate', 'exit', 'throw']) {
        const before = descriptors();
        const own = new Worker(new URL('../support/own-thread.js', import.meta.url), {
          workerData: { library, backend: r.port.backend },
        });
        own.on('error', () => {});
        const [local] = (await once(own, 'message')) as [Endpoint];
        const peers: Peer[] = [];
        for (let i = 0; i < 4; i++) {
          const peer = r.peer(local, false);
          peers.push(peer);
          await Promise.all([once(own, 'message'), peer.write('hello')]);
        }
        // Not once(), which rejects at an error.
        const exit = new Promise((resolve) => own.once('exit', resolve));
        if (how === 'terminate') void own.terminate();
        else own.postMessage(how);
        await exit;
        for (const peer of peers) {
          peer.raw.resume();
          await peer.until('the end', () => peer.ended || peer.closed);
          peer.raw.destroy();
          await peer.until('the close', () => peer.closed);
        }
        // The kernel ends what was in flight in its own time.
        for (let refused = false; !refused; ) {
          const late = r.peer(local);
          await late.until('an answer', () => late.connected || late.error !== null);
          refused = late.error !== null;
          late.raw.destroy();
          await late.until('the close', () => late.closed);
        }
        while (descriptors() > before) await new Promise((resolve) => setImmediate(resolve));
        await r.roundTrips(1);
      }
    },
  );

  suite.rule('a thread that ended in the middle of a post is recovered from', async () => {
    const { port, pump } = suite.rig();
    const token = port.share();
    const words = new Int32Array(token.queue!);
    const poster = openPoster(token);
    // It wrote a packet, and ended before it could wake the port: see the layout in posted-queue.ts.
    const threadId = await terminatedWith(
      `
      const words = new Int32Array(workerData);
      Atomics.store(words, 0, threadId + 1);
      words.set([5, 6], 6);
      Atomics.store(words, 1, 1);`,
      token.queue!,
    );
    expect(poster.post(1, 1)).toBe(false);
    // Another thread's end says nothing.
    recoverPoster(token, threadId + 1);
    expect(poster.post(1, 1)).toBe(false);
    recoverPoster(token, threadId);
    expect(words[0]).toBe(0);
    expect(await pump.next('Post')).toMatchObject({ key: 5, bytes: 6 });
    expect(poster.post(1, 2)).toBe(true);
    expect(await pump.next('Post')).toMatchObject({ key: 1, bytes: 2 });
    recoverPoster(token, threadId);
    await pump.turns(3);
    expect(pump.left).toEqual([]);
  });
}

/** Peers of a thread's own listener: each has sent a word, and does not read. */
async function talk(r: Rig, owner: Owner, count: number): Promise<Peer[]> {
  const peers = Array.from({ length: count }, () => r.peer(owner.local, false));
  for (const peer of peers) await peer.until('the connection', () => peer.connected);
  for (const peer of peers) await peer.write('hello');
  return peers;
}

/** Gives a thread a connection that this one accepted. */
async function handOver(r: Rig, owner: Owner): Promise<void> {
  const listener = await r.listen({ detached: true });
  const event = r.accept(listener);
  const peer = r.peer(listener.localEndpoint(), false);
  await peer.write('hello');
  expect(openPoster(owner.token).post((await r.pump.next('Accept', event)).handle, 0)).toBe(true);
  await r.close(listener);
}

/** Runs a script in a thread that ends afterwards. Gives its threadId. */
async function terminatedWith(script: string, workerData: unknown): Promise<number> {
  const code = `const { threadId, workerData } = require('node:worker_threads'); ${script}`;
  const worker = new Worker(code, { eval: true, workerData });
  const { threadId } = worker;
  await new Promise((resolve) => worker.on('exit', resolve));
  return threadId;
}
