// What a simulation promises beyond the contract: the same run for the same seed, and each fault that was asked for.

import { expect, onTestFinished, test } from 'vitest';
import { endpoint } from '../src/contract/endpoint.js';
import { createBatch, EVENT_SIZE, GatherList, Operation, type PortSocket } from '../src/contract/port.js';
import { createSimulation, type Faults, type Simulation } from '../src/testing/index.js';
import { patternOf } from './support/pattern.js';
import { Rig } from './support/rig.js';
import { drive, simulatedNetwork } from './support/simulated-network.js';

const everything: Partial<Faults> = {
  segment: 100,
  submission: 1,
  reset: 0.01,
  refuse: 0.1,
  accept: 0.1,
  exhaustion: 0.02,
  lateCancel: 0.5,
  latePacket: 0.5,
  overflow: 0.5,
  spuriousWakeUp: 0.2,
};

function rigWith(faults: Partial<Faults>): { r: Rig; simulation: Simulation } {
  const simulation = createSimulation({ seed: 7, faults });
  const r = new Rig(simulation.openPort(), simulatedNetwork(simulation));
  onTestFinished(drive(simulation));
  return { r, simulation };
}

/** An echo server on a port, and twenty peers that talk to it for a second. Gives what happened. */
async function echo(seed: number): Promise<string[]> {
  const trace: string[] = [];
  const simulation = createSimulation({ seed, faults: everything, trace: (line) => trace.push(line) });
  const port = simulation.openPort({ receiveBuffers: { count: 4, size: 64 } });
  const records = port.allocate(256 * EVENT_SIZE);
  let slots = 0;
  const event = () => ({ block: records, offset: slots++ * EVENT_SIZE, tag: slots, pending: false });
  const listener = await port.listen(endpoint('127.0.0.1', 0));
  const kept = new GatherList();
  const sending = new Set<PortSocket | null>();
  const batch = createBatch(8);
  port.watch(function drain() {
    for (let count = port.dequeue(batch, 0); count > 0; count = port.dequeue(batch, 0)) {
      for (const { operation, socket, data, buffer, error } of batch.slice(0, count)) {
        if (operation === Operation.Accept) {
          port.accept(listener, event());
          if (socket) port.receive(socket, event());
        } else if (data !== null) {
          kept.clear();
          kept.add(port.receiveBlock, port.placeOf(data), data.length);
          if (!sending.has(socket)) port.send(socket!, event(), kept);
          sending.add(socket);
          port.release(buffer);
        } else if (operation === Operation.Receive || error !== null) {
          port.close(socket!);
        } else if (operation === Operation.Send) {
          sending.delete(socket);
        }
      }
    }
    port.watch(drain);
  });
  port.accept(listener, event());
  for (let i = 0; i < 20; i++) {
    const peer = simulation.connect(listener.localEndpoint(), { onEnd: () => trace.push(`peer ${i} ends`) });
    peer.write(patternOf(simulation.random.between(1, 300)));
    await simulation.run(simulation.random.below(20));
    peer.end();
  }
  await simulation.run(1000);
  trace.push(JSON.stringify(port.stats), `${simulation.clock.steps} steps`);
  port.destroy();
  return trace;
}

test('the same seed gives the same run, and another seed another one', async () => {
  const first = await echo(1);
  expect(first.length).toBeGreaterThan(50);
  expect(await echo(1)).toEqual(first);
  expect(await echo(2)).not.toEqual(first);
});

test('time is virtual: an hour takes no time, and timers keep their order', async () => {
  const simulation = createSimulation({ seed: 1 });
  const seen: string[] = [];
  const at = (name: string) => () => seen.push(`${name} ${simulation.clock.now()}`);
  simulation.clock.setTimeout(at('late'), 3_600_000);
  simulation.clock.setTimeout(at('first'), 5);
  simulation.clock.setTimeout(at('second'), 5);
  simulation.clock.clearTimeout(simulation.clock.setTimeout(at('canceled'), 1));
  await simulation.run(10);
  expect(seen).toEqual(['first 5', 'second 5']);
  expect(simulation.clock.now()).toBe(10);
  await simulation.run();
  expect(seen.at(-1)).toBe('late 3600000');
  await expect(simulation.until(() => false)).rejects.toThrow(/^waited in vain/);
});

test('bytes come in pieces of any size up to a segment', async () => {
  const { r } = rigWith({ segment: 10 });
  const { socket, peer } = await r.served();
  const stream = r.receive(socket);
  void peer.write(patternOf(1000));
  const sizes = new Set<number>();
  for (let have = 0; have < 1000; ) {
    const { bytes } = await r.pump.next('Receive', stream);
    sizes.add(bytes);
    have += bytes;
  }
  expect([Math.min(...sizes), Math.max(...sizes), sizes.size]).toEqual([1, 10, 10]);
});

test('packets of different operations overtake each other', async () => {
  const { r } = rigWith({ latency: 2, completion: 5 });
  const orders = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    r.send(socket, 'question');
    await peer.read(8);
    await peer.write('answer');
    await r.pump.until('both', () => r.pump.packets.length >= 2);
    orders.add(r.pump.packets.splice(0).map(({ operation }) => operation)[0] === Operation.Send ? 'send' : 'receive');
    await r.close(socket);
    await r.endOf(stream);
    r.pump.packets.length = 0;
  }
  expect(orders.size).toBe(2);
});

test('the network resets connections', async () => {
  const { r } = rigWith({ reset: 1 });
  const { socket, peer } = await r.served();
  const stream = r.receive(socket);
  void peer.write('x');
  expect((await r.endOf(stream)).error?.code).toBe('ECONNRESET');
  await peer.until('the reset', () => peer.error);
  expect(['EPIPE', 'ECONNRESET']).toContain((await r.sent(socket, 'x')).error?.code);
});

test('connects are refused, or find the system exhausted', async () => {
  for (const [faults, codes] of [
    [{ refuse: 1 }, ['ECONNREFUSED', 'ETIMEDOUT']],
    [{ exhaustion: 1 }, ['EMFILE', 'ENOBUFS']],
  ] as const) {
    const { r } = rigWith(faults);
    const listener = await r.listen();
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const event = r.event();
      const socket = r.port.connect(event, listener.localEndpoint(), null);
      seen.add((await r.pump.next('Connect', event)).error!.code);
      await r.close(socket);
    }
    expect([...seen].sort()).toEqual(codes);
  }
});

test('accepts fail; a connection that was not lost goes to the next one', async () => {
  const { r } = rigWith({ accept: 0.5 });
  const listener = await r.listen();
  const codes = new Set<string>();
  for (let taken = 0; taken < 20; ) {
    r.accept(listener);
    r.peer(listener.localEndpoint());
    const { socket, error } = await r.pump.next('Accept');
    if (socket) taken++;
    else codes.add(error!.code);
  }
  expect([...codes].sort()).toEqual(['ECONNABORTED', 'EMFILE', 'ENFILE', 'ENOBUFS']);
});

test('sends and receives find no memory', async () => {
  const { r } = rigWith({ exhaustion: 1 });
  const { socket } = await r.served();
  expect((await r.sent(socket, 'x')).error?.code).toBe('ENOBUFS');
  expect((await r.endOf(r.receive(socket))).error?.code).toBe('ENOBUFS');
});

test.each([
  [0, 'ECANCELED'],
  [1, undefined],
])('a cancel comes too late with a probability of %i', async (lateCancel, code) => {
  const { r } = rigWith({ lateCancel, submission: 1 });
  const { socket } = await r.served();
  const event = r.send(socket, 'x');
  r.port.cancel(socket, event);
  expect((await r.pump.next('Send', event)).error?.code).toBe(code);
});

test('a start reaches the kernel late, and its bytes are read then', async () => {
  const { r } = rigWith({ submission: 100 });
  const { socket, peer } = await r.served();
  const block = r.port.allocate(5);
  block.bytes.write('early');
  const list = new GatherList();
  list.add(block, 0, 5);
  const event = r.event();
  r.port.send(socket, event, list);
  block.bytes.write('later');
  await r.pump.next('Send', event);
  expect(String(await peer.read(5))).toBe('later');
});

test('late packets of sockets whose slot serves another are dropped, and counted', async () => {
  const simulation = createSimulation({ seed: 7, faults: { latePacket: 1 } });
  const port = simulation.openPort();
  const sockets: PortSocket[] = [];
  for (let i = 0; i < 10; i++) {
    sockets.push(await port.listen(endpoint('127.0.0.1', 0)));
    port.close(sockets[i]!);
    await simulation.run(0.2);
  }
  await simulation.run();
  expect(port.stats).toMatchObject({ dropped: 10, sockets: 0 });
  port.destroy();
});

test('dequeue brings less than there is, and loses nothing', () => {
  const port = createSimulation({ seed: 7, faults: { overflow: 0.5 } }).openPort();
  for (let i = 0; i < 1000; i++) port.post(i, i);
  const batch = createBatch(16);
  const seen: unknown[] = [];
  let short = 0;
  for (let count = port.dequeue(batch, 0); count > 0; count = port.dequeue(batch, 0)) {
    if (count < batch.length && seen.length + count < 1000) short++;
    seen.push(...batch.slice(0, count).map(({ key }) => key));
  }
  expect(seen).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(short).toBeGreaterThan(10);
  port.destroy();
});

test('a watcher is called for nothing', async () => {
  const simulation = createSimulation({ seed: 7, faults: { spuriousWakeUp: 1 } });
  const port = simulation.openPort();
  let calls = 0;
  port.watch(() => calls++);
  await simulation.run();
  expect(calls).toBe(1);
  port.destroy();
});
