// What an edge-triggered epoll asks of its driver: no event comes twice, so what is left must be remembered.

import { describe, expect, it } from 'vitest';
import { candidates, openPort } from '../src/backend.js';
import { createBatch, Operation } from '../src/contract/port.js';
import { bound } from '../src/linux/libc.js';
import { exhaustDescriptors } from './support/descriptors.js';
import { Rig } from './support/rig.js';

const MSG_OOB = 1;
const { availability } = candidates().find(({ name }) => name === 'epoll')!;

function rig(options = {}): Rig {
  return new Rig(openPort({ backend: 'epoll', ...options }));
}

const reason = availability.available ? '' : ` (${availability.reason})`;

describe.skipIf(!availability.available)(`a port over epoll${reason}`, () => {
  it('reads on behind urgent data, at which recv() stops short, though nothing more comes', async () => {
    const send = bound<[fd: number, from: Buffer, length: number, flags: number]>(
      'long send(int, void *, size_t, int)',
    );
    const r = rig();
    const { server, client } = await r.pair();
    expect(send(client.handle, Buffer.from('before!'), 7, MSG_OOB)).toBe(7);
    expect(send(client.handle, Buffer.from('behind'), 6, 0)).toBe(6);
    // All of it is there when the stream starts.
    await r.roundTrips(2);
    const stream = r.receive(server);
    // The "!" is the urgent byte.
    expect(String(await r.read(stream, 12))).toBe('beforebehind');
  });

  it('gives every socket its turn while one has more data than a batch takes', async () => {
    const r = rig({ receiveBuffers: { count: 64, size: 64 } });
    const [loud, quiet] = [await r.pair(), await r.pair()];
    await r.sent(loud.client, Buffer.alloc(8192));
    await r.sent(quiet.client, 'here');
    r.pump.stop();
    const streams = [r.receive(loud.server), r.receive(quiet.server)];
    const batch = createBatch(8);
    const count = r.port.dequeue(batch, 1000);
    const received = batch.slice(0, count).filter(({ operation }) => operation === Operation.Receive);
    for (const { buffer } of received) r.port.release(buffer);
    expect(received.some(({ event }) => event === streams[1])).toBe(true);
    r.pump.start();
    expect((await r.read(streams[0]!, 8192 - 64 * (received.length - 1))).length).toBeGreaterThan(0);
  });

  it('takes the connection for which an accept had no descriptor with the next accept, though no event comes', async () => {
    const r = rig();
    const listener = await r.listen();
    const peer = r.peer(listener.localEndpoint());
    await peer.until('the connection', () => peer.connected);
    const restore = exhaustDescriptors();
    try {
      const { error } = await r.pump.next('Accept', r.accept(listener));
      expect(error).toMatchObject({ code: 'EMFILE', syscall: 'accept' });
    } finally {
      restore();
    }
    const { socket } = await r.pump.next('Accept', r.accept(listener));
    await r.sent(socket!, 'hello');
    expect(String(await peer.read(5))).toBe('hello');
  });

  it('brings the connections of the backlog when the listener closes, for which no accept waited', async () => {
    const r = rig();
    const listener = await r.listen();
    const peers = [r.peer(listener.localEndpoint()), r.peer(listener.localEndpoint())];
    for (const peer of peers) await peer.until('the connection', () => peer.connected);
    await r.close(listener);
    for (const peer of peers) {
      const { socket, event, error } = r.pump.take('Accept')!;
      expect({ event, error }).toEqual({ event: null, error: null });
      await r.sent(socket!, 'kept');
      expect(peer.error).toBeNull();
    }
  });

  it('waits in the place of the loop and as its guest by turns', async () => {
    const r = rig();
    const { server, client } = await r.pair();
    r.pump.stop();
    const batch = createBatch(4);
    const stream = r.receive(server);
    r.port.waitForLoop();
    for (let i = 0; i < 3; i++) {
      // In a callback of an immediate the loop may not sleep, and so the port would not wait.
      await new Promise((resolve) => setTimeout(resolve, 1));
      // The wait ends for the timer of the loop.
      const timer = setTimeout(() => {}, 5);
      expect(r.port.dequeue(batch, 1000)).toBe(0);
      clearTimeout(timer);
      const watched = new Promise<void>((resolve) => r.port.watch(resolve));
      r.send(client, 'x');
      await watched;
      r.port.unwatch();
      const seen = new Set<unknown>();
      while (!seen.has(stream)) {
        const count = r.port.dequeue(batch, 0);
        for (const { event, buffer } of batch.slice(0, count)) {
          seen.add(event);
          if (buffer >= 0) r.port.release(buffer);
        }
      }
    }
  });
});
