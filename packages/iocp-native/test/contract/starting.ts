// Rules about starting operations, and about events while they are in flight.

import { AssertionError } from 'node:assert';
import { expect } from 'vitest';
import { createBatch, Operation } from '../../src/contract/port.js';
import type { Suite } from '../support/suite.js';

export function starting(suite: Suite): void {
  suite.rule('starting never calls back', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const { socket, peer } = await r.served();
    peer.raw.write('x');
    await r.roundTrips(1);
    pump.stop();
    let called = false;
    port.watch(() => {
      called = true;
    });
    const receiving = r.receive(socket);
    const sending = r.send(socket, 'abc');
    port.post('key', 1);
    port.cancel(socket, receiving);
    port.close(socket);
    port.close(socket);
    expect(called).toBe(false);
    expect([receiving.pending, sending.pending]).toEqual([true, true]);
    port.unwatch();
    pump.start();
    await pump.next('Close', socket);
    expect([receiving.pending, sending.pending]).toEqual([false, false]);
  });

  suite.rule('an event is pending until its last packet has been dequeued', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    await peer.write('x');
    await r.read(stream, 1);
    expect(stream.pending).toBe(true);
    expect(socket.pending).toBe(1);
    peer.raw.end();
    pump.stop();
    // The end has reached the port, or will; either way its packet is not dequeued.
    await new Promise<void>((resolve) => port.watch(resolve));
    expect(stream.pending).toBe(true);
    pump.start();
    await r.endOf(stream);
    expect(stream.pending).toBe(false);
    expect(socket.pending).toBe(0);
  });

  suite.rule('an event serves again after its last packet, under a new tag', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const { socket, peer } = await r.served();
    const event = r.event();
    for (let i = 0; i < 50; i++) {
      port.send(socket, event.renew(), r.gather('abc'));
      expect((await pump.next('Send', event)).bytes).toBe(3);
      port.receive(socket, event.renew());
      await peer.write('z');
      expect(String(await r.read(event, 1))).toBe('z');
      port.cancel(socket, event);
      expect((await r.endOf(event)).error?.code).toBe('ECANCELED');
    }
    expect((await peer.read(150)).length).toBe(150);
    expect(port.stats.dropped).toBe(0);
  });

  suite.rule('an event in flight cannot be started again', async () => {
    const r = suite.rig();
    const { port } = r;
    const listener = await r.listen();
    const event = r.accept(listener);
    expect(() => port.accept(listener, event)).toThrow(AssertionError);
  });

  suite.rule('a socket has one receive stream and one send at most', async () => {
    const r = suite.rig();
    const { port } = r;
    const { socket } = await r.served(false);
    r.receive(socket);
    expect(() => port.receive(socket, r.event())).toThrow(AssertionError);
    r.send(socket, 'a');
    expect(() => port.send(socket, r.event(), r.gather('b'))).toThrow(AssertionError);
  });

  suite.rule('a packet has the key that its socket was given', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const listener = await r.listen();
    const accepting = r.accept(listener);
    const session = { name: 'client' };
    const connecting = r.event();
    const client = port.connect(connecting, listener.localEndpoint(), session);
    expect((await pump.next('Connect', connecting)).key).toBe(session);
    const { socket } = await pump.next('Accept', accepting);
    expect(socket!.key).toBeUndefined();
    socket!.key = 'server';
    expect((await r.sent(socket!, 'x')).key).toBe('server');
    const stream = r.receive(client);
    expect((await pump.next('Receive', stream)).key).toBe(session);
    expect((await r.close(client)).key).toBe(session);
  });

  suite.rule('a packet record keeps nothing of what it held before', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const { socket, peer } = await r.served();
    pump.stop();
    const batch = createBatch(1);
    const stream = r.receive(socket);
    port.post('before', 7);
    expect(port.dequeue(batch, 0)).toBe(1);
    await peer.write('x');
    while (port.dequeue(batch, 0) === 0) await new Promise<void>((resolve) => port.watch(resolve));
    expect(batch[0]!.operation).toBe(Operation.Receive);
    expect(batch[0]!.event === stream && batch[0]!.socket === socket).toBe(true);
    port.release(batch[0]!.buffer);
    port.post('after', 0);
    while (port.dequeue(batch, 0) === 0) await new Promise<void>((resolve) => port.watch(resolve));
    expect({ ...batch[0]! }).toEqual({
      operation: Operation.Post,
      key: 'after',
      event: null,
      socket: null,
      bytes: 0,
      handle: -1,
      data: null,
      buffer: -1,
      error: null,
      from: null,
    });
    pump.start();
  });

  suite.rule('memory for events is zeroed and holds what was asked for', () => {
    const port = suite.open();
    const block = port.allocate(5000);
    expect(block.size).toBeGreaterThanOrEqual(5000);
    expect(block.bytes.every((byte) => byte === 0)).toBe(true);
    expect(block.address % 16).toBe(0);
    block.bytes.fill(0xff);
    port.destroy();
    const next = suite.open();
    expect(next.allocate(5000).bytes.every((byte) => byte === 0)).toBe(true);
    next.destroy();
  });
}
