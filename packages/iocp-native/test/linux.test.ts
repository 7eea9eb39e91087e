// What only Linux has: the raw ring, and how a port takes receive buffers into use.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createBatch, EVENT_SIZE, endpoint, GatherList, Operation } from '../src/index.js';
import { layout, Ring, submissions } from '../src/linux/index.js';
import { linuxBackend } from '../src/linux/io-uring/backend.js';
import { waitFlags } from '../src/linux/io-uring/wait-flags.js';
import { close, eventfd, read } from '../src/linux/libc.js';
import { skip } from '../src/linux/messages.js';
import { PipePoster } from '../src/linux/poster.js';
import { PostedQueue } from '../src/port/posted-queue.js';
import { unreadBytes } from './support/descriptors.js';
import { library } from './support/threads.js';

const { OP, SQE_FLAG } = layout;
const { prepClose, prepNop, prepTimeout, setFlags, setUserData } = submissions;
const available = linuxBackend.available();
const reason = available.available ? '' : available.reason;

/** The threads that the kernel has made for rings of this process. */
function kernelThreads(): string[] {
  return readdirSync('/proc/self/task').filter((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'latin1').startsWith('iou-wrk');
    } catch {
      return false;
    }
  });
}

it('a wait of a ring is no I/O wait where the kernel can tell them apart', () => {
  const { ENTER, FEATURE } = layout;
  const features = FEATURE.SINGLE_MMAP | FEATURE.NODROP | FEATURE.EXT_ARG;
  expect(waitFlags(features)).toBe(ENTER.GETEVENTS);
  expect(waitFlags(features | FEATURE.NO_IOWAIT)).toBe(ENTER.GETEVENTS | ENTER.NO_IOWAIT);
});

describe.skipIf(available.available)(`without io_uring (${reason})`, () => {
  it('a ring throws an IocpError', () => {
    expect(() => new Ring(8, 16)).toThrow(expect.objectContaining({ name: 'IocpError' }));
  });
});

describe.skipIf(!available.available)(`the raw ring (${reason})`, () => {
  let ring: Ring;
  afterEach(() => ring.close());

  const nop = (user: number) => setUserData(ring, prepNop(ring), user, 0);

  /** Takes `count` completions: the low words of their user_data, and their results. */
  function take(count: number): { user: number; result: number }[] {
    const taken: { user: number; result: number }[] = [];
    while (taken.length < count) {
      ring.enter(taken.length === 0 && ring.cqHead === ring.cqTail() ? -1 : 0);
      let head = ring.cqHead;
      for (; head !== ring.cqTail(); head = (head + 1) >>> 0) {
        const at = ring.cqe(head);
        taken.push({ user: ring.cqes[at]!, result: ring.cqes[at + 2]! });
      }
      ring.advance(head);
    }
    return taken;
  }

  it('a full submission queue is handed to the kernel, not dropped', () => {
    ring = new Ring(4, 64);
    for (let i = 0; i < 50; i++) nop(i);
    expect(take(50).map(({ user }) => user)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it('a completion queue that overflows loses nothing', () => {
    ring = new Ring(8, 16);
    for (let i = 0; i < 200; i++) nop(i);
    ring.enter(0);
    expect(ring.needsEnter).toBe(true);
    expect(take(200).map(({ user }) => user)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  it('a timeout of the kernel completes with ETIME', () => {
    ring = new Ring(8, 16);
    const port = linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } });
    const timespec = port.allocate(16);
    timespec.bytes.writeBigInt64LE(1_000_000n, 8);
    setUserData(ring, prepTimeout(ring, timespec.address), 7, 0);
    expect(take(1)).toEqual([{ user: 7, result: -62 }]);
    port.destroy();
  });

  it('a wait with a timeout ends', () => {
    ring = new Ring(8, 16);
    ring.enter(1);
    expect(ring.cqHead).toBe(ring.cqTail());
  });

  it('a linked entry that fails cancels the next', () => {
    ring = new Ring(8, 16);
    const at = prepClose(ring, 1_000_000);
    setFlags(ring, at, SQE_FLAG.IO_LINK);
    setUserData(ring, at, 1, 0);
    nop(2);
    expect(take(2).map(({ result }) => result)).toEqual([-9, -125]);
  });

  it('is harmless when closed, and closing twice too', () => {
    ring = new Ring(8, 16);
    ring.close();
    ring.close();
    expect(ring.cqes.length).toBe(0);
    nop(1);
  });

  it('tells an eventfd', () => {
    ring = new Ring(8, 16);
    const fd = eventfd(0, layout.EFD_CLOEXEC | layout.EFD_NONBLOCK);
    ring.registerEventfd(fd);
    const count = Buffer.alloc(8);
    expect(read(fd, count, 8)).toBe(-1);
    nop(1);
    ring.enter(0);
    expect(read(fd, count, 8)).toBe(8);
    expect(take(1)).toEqual([{ user: 1, result: 0 }]);
    expect(close(fd)).toBe(0);
  });
});

describe.skipIf(!available.available)(`the io_uring port (${reason})`, () => {
  it('costs posters one write until it has looked', () => {
    const port = linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } });
    const token = port.share();
    const posters = [new PipePoster(token), new PipePoster(token)];
    // A wake-up by a poster is one byte in the pipe.
    const wakeUps = () => unreadBytes(token.handle);
    const batch = createBatch(64);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 100; i++) expect(posters[i % 2]!.post(round, i)).toBe(true);
      expect(wakeUps()).toBe(1);
      let seen = 0;
      while (seen < 100) seen += port.dequeue(batch, -1);
      expect(wakeUps()).toBe(0);
    }
    port.destroy();
  });

  it('finds a post that comes right after it has looked for the last one', () => {
    const port = linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } });
    const poster = new PipePoster(port.share());
    const { read } = PostedQueue.prototype;
    let posted = 1;
    const late = vi.spyOn(PostedQueue.prototype, 'read').mockImplementation(function (this: PostedQueue, take) {
      const found = read.call(this, take);
      if (!found && posted < 5) poster.post(1, posted++);
      return found;
    });
    poster.post(1, 0);
    const batch = createBatch(8);
    const seen: number[] = [];
    for (const start = performance.now(); seen.length < 5 && performance.now() - start < 5000; ) {
      for (const { bytes } of batch.slice(0, port.dequeue(batch, -1))) seen.push(bytes);
    }
    late.mockRestore();
    port.destroy();
    expect(seen).toEqual([0, 1, 2, 3, 4]);
  });

  it('lets no send wait on a thread of the kernel, also not where the peer has ended', async () => {
    // Others of this process may have some, which end seconds later.
    const before = kernelThreads();
    const port = linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } });
    const block = port.allocate(16 * EVENT_SIZE);
    const event = (slot: number) => ({ block, offset: slot * EVENT_SIZE, tag: slot, pending: false });
    const bytes = new GatherList();
    bytes.add(port.allocate(32 << 20), 0, 32 << 20);
    const batch = createBatch(8);
    const next = async (operation: Operation) => {
      for (;;) {
        const packets = batch.slice(0, port.dequeue(batch, 0));
        const found = packets.find((packet) => packet.operation === operation);
        if (found) return found;
        await new Promise(setImmediate);
      }
    };
    const listener = await port.listen(endpoint('127.0.0.1', 0));
    const peers = [];
    for (let i = 0; i < 4; i++) {
      const peer = connect({ port: listener.localEndpoint().port, allowHalfOpen: true });
      peer.pause().end();
      peers.push(peer);
      port.accept(listener, event(3 * i));
      const socket = (await next(Operation.Accept)).socket as never;
      port.receive(socket, event(3 * i + 1));
      expect((await next(Operation.Receive)).bytes).toBe(0);
      port.send(socket, event(3 * i + 2), bytes);
    }
    // The kernel tries 128 times itself.
    for (let i = 0; i < 300; i++) {
      expect(port.dequeue(batch, 0)).toBe(0);
      await new Promise(setImmediate);
    }
    expect(kernelThreads().filter((task) => !before.includes(task))).toEqual([]);
    for (const peer of peers) peer.destroy();
    port.destroy();
  });

  it('shows the kernel a receive buffer before the tail that names it', () => {
    // What processors make of plain stores only arm64 shows. An atomic one orders them.
    const store = vi.spyOn(Atomics, 'store');
    linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } }).destroy();
    const tails = store.mock.calls.filter(([words]) => words instanceof Uint16Array);
    store.mockRestore();
    expect(tails[0]!.slice(1)).toEqual([layout.BUF.tail16, 8]);
  });

  it('cancels again what the kernel did not find', async () => {
    const port = linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } });
    const block = port.allocate(4 * EVENT_SIZE);
    const event = (slot: number) => ({ block, offset: slot * EVENT_SIZE, tag: slot + 1, pending: false });
    const batch = createBatch(8);
    const packets: string[] = [];
    const take = () => {
      for (const { operation, error } of batch.slice(0, port.dequeue(batch, 100)))
        packets.push(`${operation} ${error?.code}`);
    };
    const listener = await port.listen(endpoint('127.0.0.1', 0));
    port.accept(listener, event(0));
    const peer = connect(listener.localEndpoint().port);
    await once(peer, 'connect');
    expect(port.dequeue(batch, 1000)).toBe(1);
    const socket = batch[0]!.socket as never;
    port.receive(socket, event(1));
    port.dequeue(batch, 0);
    const { nextEntry, enter } = Ring.prototype;
    const entries: number[] = [];
    vi.spyOn(Ring.prototype, 'nextEntry').mockImplementation(function (this: Ring) {
      const at = nextEntry.call(this);
      entries.push(at);
      return at;
    });
    let cancels = 0;
    vi.spyOn(Ring.prototype, 'enter').mockImplementation(function (this: Ring, timeout) {
      for (const at of entries.splice(0)) {
        // The first two name an operation that there is not.
        if ((this.sqes[at]! & 0xff) === OP.ASYNC_CANCEL && ++cancels <= 2) this.sqes[at + 4]! ^= 0xffff;
      }
      enter.call(this, timeout);
    });
    port.close(socket);
    for (let i = 0; i < 20 && packets.length < 2; i++) take();
    vi.restoreAllMocks();
    expect(cancels).toBe(3);
    expect(packets).toEqual([`${Operation.Receive} ECANCELED`, `${Operation.Close} undefined`]);
    peer.destroy();
    port.destroy();
  });

  it('has the event loop turn while a file is on its way', async () => {
    const port = linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } });
    const block = port.allocate(4 * EVENT_SIZE);
    const event = (slot: number) => ({ block, offset: slot * EVENT_SIZE, tag: slot + 1, pending: false });
    const batch = createBatch(8);
    const listener = await port.listen(endpoint('127.0.0.1', 0));
    port.accept(listener, event(0));
    const peer = connect(listener.localEndpoint().port).pause();
    await once(peer, 'connect');
    expect(port.dequeue(batch, 1000)).toBe(1);
    const folder = mkdtempSync(join(tmpdir(), 'overlapped-'));
    const path = join(folder, 'file');
    // Less than the kernel buffers, so that nothing waits for the peer.
    writeFileSync(path, Buffer.alloc(1 << 21));
    const file = openSync(path, 'r');
    port.sendFile(batch[0]!.socket as never, event(1), file, 0, 1 << 21);
    let turns = 0;
    while (port.dequeue(batch, 0) === 0) turns++;
    expect(batch[0]).toMatchObject({ operation: Operation.Send, bytes: 1 << 21, error: null });
    expect(turns).toBeGreaterThan(0);
    closeSync(file);
    rmSync(folder, { recursive: true });
    peer.destroy();
    port.destroy();
  });

  it('carries what was taken of a piece into the upper half of its address', () => {
    const words = new Uint32Array(EVENT_SIZE / 4);
    words.set([0xfffffff0, 7, 100, 0, 0x10, 9, 50, 0], 128 / 4);
    skip({ block: { words }, offset: 0 } as never, 120);
    expect([...words.subarray(128 / 4, 128 / 4 + 8)]).toEqual([0x54, 8, 0, 0, 0x24, 9, 30, 0]);
  });

  it('gives all back that terminated workers had, 50 times', { timeout: 600_000 }, async () => {
    const script = fileURLToPath(new URL('./support/reaping.js', import.meta.url));
    const child = spawn(process.execPath, [script, library], { stdio: 'inherit' });
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('takes more receive buffers into use when data finds none, before it says that it starves', async () => {
    const port = linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 256, size: 64 } });
    const block = port.allocate(2 * EVENT_SIZE);
    const event = (slot: number) => ({ block, offset: slot * EVENT_SIZE, tag: slot, pending: false });
    const listener = await port.listen(endpoint('127.0.0.1', 0));
    port.accept(listener, event(0));
    const peer = connect(listener.localEndpoint().port, '127.0.0.1');
    await once(peer, 'connect');
    // Ends in the last buffer but one: what is held is 255 buffers, and none of them comes back.
    peer.write(Buffer.alloc(255 * 64, 'x'));
    const batch = createBatch(64);
    let received = 0;
    while (received < 255 * 64) {
      for (const packet of batch.slice(0, port.dequeue(batch, -1))) {
        if (packet.operation === Operation.Accept) port.receive(packet.socket as never, event(1));
        else received += packet.bytes;
      }
      await new Promise(setImmediate);
    }
    expect(port.stats).toMatchObject({ buffersOut: 255, starved: 0 });
    peer.destroy();
    port.destroy();
  });

  it('loads no native code in a thread that only posts: to be terminated in the middle of that would end the process', async () => {
    const port = linuxBackend.open({ concurrency: 1, receiveBuffers: { count: 8, size: 64 } });
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.library).then(({ openPoster }) => {
        const posted = openPoster(workerData.token).post(7, 42);
        parentPort.postMessage({ posted, loaded: Object.keys(require.cache).filter((file) => file.endsWith('.node')) });
      });`;
    const worker = new Worker(code, { eval: true, workerData: { library, token: port.share() } });
    expect(await once(worker, 'message')).toEqual([{ posted: true, loaded: [] }]);
    // And it wakes the port.
    const batch = createBatch(1);
    expect(port.dequeue(batch, -1)).toBe(1);
    expect(batch[0]).toMatchObject({ operation: Operation.Post, key: 7, bytes: 42 });
    await worker.terminate();
    port.destroy();
  });

  it('survives that its worker is terminated with operations in flight', async () => {
    const script = fileURLToPath(new URL('./support/worker-in-flight.js', import.meta.url));
    const child = spawn(process.execPath, [script, library], { stdio: 'inherit' });
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
