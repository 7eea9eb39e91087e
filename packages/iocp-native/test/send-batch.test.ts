// Sends behind a large batch, which a port over epoll makes in one system call: io_submit(2).

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { candidates, openPort, reap } from '../src/backend.js';
import { createBatch, Operation, type PortSocket } from '../src/contract/port.js';
import { createLedger } from '../src/internal.js';
import { MOST_OPERATIONS } from '../src/linux/aio.js';
import { bindCalls } from '../src/linux/calls.js';
import { IOCB, SYS_io_submit } from '../src/linux/layout.js';
import { viewOf } from '../src/native/koffi.js';
import { patternOf } from './support/pattern.js';
import { Rig } from './support/rig.js';
import { library } from './support/threads.js';

const PAIRS = 12;
/** More than the buffers of a connection hold. */
const LARGE = 32 << 20;

/** Where an iocb has the offset in a file. */
const OFFSET = 40;

interface Pair {
  readonly server: PortSocket;
  readonly client: PortSocket;
}

type Submit = (number: number, context: number, count: number, addresses: number) => number;

/** Watches io_submit(2). Gives the operations of each call, as they come. */
function watchSubmits(replace: (submit: Submit) => Submit = (submit) => submit): number[] {
  const calls = bindCalls() as { io_submit: Submit };
  const submit = calls.io_submit;
  const counts: number[] = [];
  const act = replace(submit);
  const spy = vi.spyOn(calls, 'io_submit').mockImplementation((...args) => {
    counts.push(args[2]);
    return act(...args);
  });
  onTestFinished(() => spy.mockRestore());
  return counts;
}

async function pairsOf(r: Rig): Promise<Pair[]> {
  const pairs = [];
  for (let i = 0; i < PAIRS; i++) pairs.push(await r.pair());
  return pairs;
}

/** A message of each client comes in one batch, and then `act` is called. Gives its result. */
async function behindBatch<T>(r: Rig, pairs: readonly Pair[], act: () => T): Promise<T> {
  for (const { client } of pairs) await r.sent(client, 'ask');
  r.pump.stop();
  for (const { server } of pairs) r.receive(server);
  const batch = createBatch(64);
  const packets = batch.slice(0, r.port.dequeue(batch, 1000));
  expect(packets.map(({ operation }) => operation)).toEqual(pairs.map(() => Operation.Receive));
  for (const { buffer } of packets) r.port.release(buffer);
  const result = act();
  r.pump.start();
  return result;
}

const { availability } = candidates().find(({ name }) => name === 'epoll')!;
const reason = availability.available ? '' : ` (${availability.reason})`;

describe.skipIf(!availability.available)(`a port over epoll${reason}`, () => {
  it('makes them in one call, and each ends in its own way', async () => {
    const r = new Rig(openPort({ backend: 'epoll' }));
    const counts = watchSubmits();
    const pairs = await pairsOf(r);
    const whole = patternOf(LARGE);
    const sends = await behindBatch(r, pairs, () => {
      r.port.close(pairs[0]!.client, true);
      const events = pairs.map(({ server }, i) => r.send(server, i === 1 ? whole : `answer ${i}`));
      r.port.cancel(pairs[2]!.server, events[2]!);
      r.port.close(pairs[3]!.server);
      return events;
    });
    const ended = await Promise.all(sends.map((event, i) => (i === 1 ? null : r.pump.next('Send', event))));
    expect(counts).toEqual([PAIRS]);
    expect(ended[0]).toMatchObject({ bytes: 0, error: { code: 'ECONNRESET' } });
    expect(sends[1]!.pending).toBe(true);
    const slow = r.receive(pairs[1]!.client);
    expect((await r.read(slow, LARGE)).equals(whole)).toBe(true);
    expect(await r.pump.next('Send', sends[1]!)).toMatchObject({ bytes: LARGE, error: null });
    for (const [i, { client }] of pairs.entries()) {
      if (i < 2) continue;
      expect(ended[i]).toMatchObject({ bytes: `answer ${i}`.length, error: null });
      const stream = r.receive(client);
      expect(String(await r.read(stream, `answer ${i}`.length))).toBe(`answer ${i}`);
      if (i === 3) expect((await r.endOf(stream)).error).toBeNull();
    }
  });

  it.each([
    ['none', (): number => -1],
    ['seven', (submit: Submit, context: number, addresses: number) => submit(SYS_io_submit, context, 7, addresses)],
  ])('makes calls for each of those that the system did not take: of all it takes %s', async (_, replace) => {
    const r = new Rig(openPort({ backend: 'epoll' }));
    const counts = watchSubmits(
      (submit) => (_number, context, _count, addresses) => replace(submit, context, addresses),
    );
    const pairs = await pairsOf(r);
    await behindBatch(r, pairs, () => {
      for (const [i, { server }] of pairs.entries()) r.send(server, `answer ${i};`);
    });
    for (const [i, { client, server }] of pairs.entries()) {
      expect(await r.pump.next('Send', server)).toMatchObject({ error: null });
      await r.sent(server, 'more');
      expect(String(await r.read(r.receive(client), `answer ${i};more`.length))).toBe(`answer ${i};more`);
    }
    expect(counts).toEqual([PAIRS]);
  });

  it('makes calls for all of them, from then on, where AIO serves no sockets', async () => {
    const r = new Rig(openPort({ backend: 'epoll' }));
    const counts = watchSubmits((submit) => (number, context, count, addresses) => {
      // The kernel takes no send with an offset: ESPIPE, as gVisor says of all.
      const words = new Uint32Array(viewOf(addresses - MOST_OPERATIONS * IOCB.size, count * IOCB.size));
      for (let i = 0; i < count; i++) words[(i * IOCB.size + OFFSET) >> 2] = 1;
      return submit(number, context, count, addresses);
    });
    const pairs = await pairsOf(r);
    await behindBatch(r, pairs, () => {
      for (const { server } of pairs) r.send(server, 'first ');
    });
    for (const { server } of pairs) expect(await r.pump.next('Send', server)).toMatchObject({ error: null });
    r.pump.stop();
    for (const { client } of pairs) r.send(client, 'ask');
    const batch = createBatch(64);
    // Their packets, and then those of what has arrived.
    expect(r.port.dequeue(batch, 0)).toBe(PAIRS);
    expect(r.port.dequeue(batch, 1000)).toBe(PAIRS);
    for (const { buffer } of batch.slice(0, PAIRS)) r.port.release(buffer);
    for (const { server } of pairs) r.send(server, 'second');
    r.pump.start();
    for (const { client } of pairs) expect(String(await r.read(r.receive(client), 12))).toBe('first second');
    expect(counts).toEqual([PAIRS]);
  });

  it('waits for no peer, also where the descriptor was handed over and would block', async () => {
    const r = new Rig(openPort({ backend: 'epoll' }));
    const counts = watchSubmits();
    const listener = await r.listen({ detached: true });
    const pairs: Pair[] = [];
    for (let i = 0; i < PAIRS; i++) {
      const accepting = r.accept(listener);
      const connecting = r.event();
      const client = r.port.connect(connecting, listener.localEndpoint(), undefined);
      await r.pump.next('Connect', connecting);
      const { handle } = await r.pump.next('Accept', accepting);
      pairs.push({ server: r.port.adopt(handle), client });
    }
    const whole = Buffer.alloc(LARGE / 4);
    await behindBatch(r, pairs, () => {
      for (const { server } of pairs) r.send(server, whole);
    });
    await r.pump.turns(3);
    expect(counts).toEqual([PAIRS]);
    expect(r.pump.take('Send')).toBeUndefined();
    for (const { server } of pairs) await r.close(server, true);
    for (const { server } of pairs) expect(r.pump.take('Send', server)?.error).not.toBeNull();
  });

  describe('the context of Linux AIO that a worker thread has for them', () => {
    const contexts = () => readFileSync('/proc/self/maps', 'latin1').split('[aio]').length - 1;
    const start = async (ledger: SharedArrayBuffer | null) => {
      const worker = new Worker(new URL('./support/batch-sender.js', import.meta.url), {
        workerData: { library, ledger },
      });
      const [made] = (await once(worker, 'message')) as [number];
      return { worker, made };
    };

    it('goes with its last port', async () => {
      const before = contexts();
      const { worker, made } = await start(createLedger());
      expect(made).toBe(before + 1);
      worker.postMessage('end');
      await once(worker, 'exit');
      expect(contexts()).toBe(before);
    });

    it('is given back by reap() when the thread was terminated', async () => {
      const before = contexts();
      const ledger = createLedger();
      const { worker, made } = await start(ledger);
      expect(made).toBe(before + 1);
      await worker.terminate();
      expect(contexts()).toBe(before + 1);
      reap(ledger);
      expect(contexts()).toBe(before);
    });

    it('is not made where nothing would give it back: in a thread without a ledger', async () => {
      const before = contexts();
      const { worker, made } = await start(null);
      expect(made).toBe(before);
      await worker.terminate();
    });
  });
});
