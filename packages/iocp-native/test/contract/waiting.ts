// Rules about waiting for packets: by watch(), as a guest of the event loop, and in dequeue() itself.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { expect } from 'vitest';
import { openPoster } from '../../src/backend.js';
import { createBatch, Operation } from '../../src/contract/port.js';
import type { Suite } from '../support/suite.js';
import { library, postFromThread } from '../support/threads.js';

export function waiting(suite: Suite): void {
  suite.rule('dequeue without a timeout does not wait', () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const batch = createBatch(4);
    expect(port.dequeue(batch, 0)).toBe(0);
    for (let i = 0; i < 6; i++) port.post(i, i);
    expect(port.dequeue(batch, 0)).toBe(4);
    expect(port.dequeue(batch, 0)).toBe(2);
    expect(port.dequeue(batch, 0)).toBe(0);
    expect(port.stats).toMatchObject({ packets: 6, wakeUps: 2 });
  });

  suite.rule('dequeue with a timeout waits about that long', () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const batch = createBatch(4);
    const start = performance.now();
    // It may end early with 0, so the rest is computed.
    for (let left = 60; left > 0; left = 60 - (performance.now() - start)) {
      expect(port.dequeue(batch, Math.ceil(left))).toBe(0);
    }
    port.post('ready', 1);
    expect(port.dequeue(batch, 60_000)).toBe(1);
  });

  suite.rule('a post of another thread wakes dequeue', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const done = postFromThread(port.share(), 5, 3);
    const batch = createBatch(4);
    const seen: number[] = [];
    while (seen.length < 3) {
      const count = port.dequeue(batch, -1);
      for (const packet of batch.slice(0, count)) {
        expect(packet).toMatchObject({ operation: Operation.Post, key: 5 });
        seen.push(packet.bytes);
      }
    }
    expect(seen).toEqual([0, 1, 2]);
    await done;
  });

  suite.rule('I/O wakes dequeue', async () => {
    const r = suite.rig();
    const { server, client } = await r.pair();
    r.pump.stop();
    const stream = r.receive(server);
    const sending = r.send(client, 'wake up');
    const batch = createBatch(4);
    const events = new Set([stream, sending]);
    while (events.size > 0) {
      const count = r.port.dequeue(batch, -1);
      for (const packet of batch.slice(0, count)) {
        events.delete(packet.event as typeof stream);
        if (packet.buffer >= 0) r.port.release(packet.buffer);
      }
    }
  });

  suite.rule('watch calls once for posts, local and of other threads', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const batch = createBatch(4);
    let calls = 0;
    const watched = () =>
      new Promise<void>((resolve) => {
        port.watch(() => {
          calls++;
          resolve();
        });
      });
    const first = watched();
    port.post('local', 1);
    await first;
    expect(port.dequeue(batch, 0)).toBe(1);
    port.post('unwatched', 2);
    await turn();
    expect(calls).toBe(1);
    // There is a packet already.
    await watched();
    expect(port.dequeue(batch, 0)).toBe(1);
    const poster = openPoster(port.share());
    const third = watched();
    poster.post(1, 3);
    await third;
    expect(port.dequeue(batch, 0)).toBe(1);
    const fourth = watched();
    const thread = postFromThread(port.share(), 1, 1);
    await fourth;
    expect(port.dequeue(batch, 0)).toBe(1);
    await thread;
    expect(calls).toBe(4);
  });

  suite.rule('watch calls for I/O', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    r.pump.stop();
    const batch = createBatch(4);
    const stream = r.receive(socket);
    expect(r.port.dequeue(batch, 0)).toBe(0);
    for (let i = 0; i < 20; i++) {
      await peer.write('x');
      let count = r.port.dequeue(batch, 0);
      while (count === 0) {
        await new Promise<void>((resolve) => r.port.watch(resolve));
        count = r.port.dequeue(batch, 0);
      }
      expect(count).toBe(1);
      expect(batch[0]!.event === stream).toBe(true);
      expect(batch[0]!.bytes).toBe(1);
      r.port.release(batch[0]!.buffer);
    }
  });

  suite.rule('ticks and promises run when `ready` has returned, and not in its middle', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const order: string[] = [];
    const over = new Promise<void>((resolve) => {
      port.watch(() => {
        setImmediate(() => {
          order.push('next turn of the loop');
          resolve();
        });
        process.nextTick(() => order.push('tick'));
        void Promise.resolve().then(() => order.push('promise'));
        callBackFromNativeCode();
        order.push('end of ready');
      });
    });
    // Of another thread, so that the kernel wakes the loop.
    await postFromThread(port.share(), 1, 1);
    await over;
    expect(order[0]).toBe('end of ready');
    expect(order.slice(1, 3).sort()).toEqual(['promise', 'tick']);
    expect(order[3]).toBe('next turn of the loop');
    expect(port.dequeue(createBatch(2), 0)).toBe(1);
  });

  suite.rule('unwatch takes the watcher back, and a second watch replaces the first', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const calls: string[] = [];
    port.watch(() => calls.push('taken back'));
    port.post('x', 1);
    port.unwatch();
    await turn();
    await turn();
    port.watch(() => calls.push('replaced'));
    await new Promise<void>((resolve) => {
      port.watch(() => {
        calls.push('called');
        resolve();
      });
    });
    await turn();
    expect(calls).toEqual(['called']);
    expect(port.dequeue(createBatch(2), 0)).toBe(1);
  });

  suite.rule('no wake-up is lost, however a wait and the posts of other threads meet', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    const [threads, count] = [3, 3000];
    const posted = new Int32Array(new SharedArrayBuffer(4));
    // Up to this long after one another: a wait begins and ends that fast, too.
    const pace = { spread: 100, posted };
    const done = Array.from({ length: threads }, (_, i) => postFromThread(port.share(), i + 1, count, pace));
    const batch = createBatch(4);
    for (let seen = 0; seen < threads * count; ) {
      const before = Atomics.load(posted, 0);
      const n = port.dequeue(batch, 60_000);
      // It may end early with nothing, but not past a packet that was there when it began.
      if (n === 0) expect(before, 'posted before this wait').toBeLessThanOrEqual(seen);
      seen += n;
    }
    await Promise.all(done);
  });

  suite.rule('worker.terminate() ends a thread that waits in dequeue()', async () => {
    const { port } = suite.rig();
    const script = `import(${JSON.stringify(library)}).then(({ openPort, createBatch }) => {
      const port = openPort({ backend: ${JSON.stringify(port.backend)} });
      require('node:worker_threads').parentPort.postMessage('waiting');
      for (;;) port.dequeue(createBatch(1), -1);
    });`;
    const worker = new Worker(script, { eval: true });
    await once(worker, 'message');
    expect(await worker.terminate()).toBe(1);
  });

  suite.rule(
    'watch keeps the process alive, and nothing else of a port does',
    async () => {
      const { port } = suite.rig();
      const run = (script: string) =>
        promisify(execFile)(process.execPath, [
          '--input-type=module',
          '-e',
          `import { openPort, openPoster } from ${JSON.stringify(library)};
        const port = openPort({ backend: ${JSON.stringify(port.backend)} });
        const listener = await port.listen({ address: '127.0.0.1', family: 4, port: 0 });
        ${script}`,
        ]);
      expect((await run(`port.watch(() => {}); port.unwatch(); console.log('idle');`)).stdout).toBe('idle\n');
      const thread = `
      import { Worker } from 'node:worker_threads';
      const code = "import('node:worker_threads').then(async ({ workerData }) => { const { openPoster } = await import("
        + JSON.stringify(${JSON.stringify(library)}) + "); openPoster(workerData).post(1, 2); });";
      port.watch(() => { console.log('woken'); port.destroy(); });
      new Worker(code, { eval: true, workerData: port.share() }).unref();`;
      expect((await run(thread)).stdout).toBe('woken\n');
    },
    60_000,
  );
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** TLS calls its stream's write() back within connect(): a callback of Node's own, which would run ticks where none is under way. */
function callBackFromNativeCode(): void {
  const nowhere = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  connect({ socket: nowhere, rejectUnauthorized: false })
    .on('error', () => {})
    .destroy();
}
