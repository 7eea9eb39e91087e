// Rules about misuse that the port refuses by an AssertionError, before anything is started for it; and about its statistics.

import { AssertionError } from 'node:assert';
import { expect } from 'vitest';
import { createBatch, type PortSocket } from '../../src/contract/port.js';
import type { Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';

/** Expects each call to be refused, with nothing started for it. */
function expectRefused(r: Rig, calls: Readonly<Record<string, () => unknown>>): void {
  const { inFlight, sockets } = r.port.stats;
  for (const [name, call] of Object.entries(calls)) {
    expect(call, name).toThrow(AssertionError);
    expect(r.port.stats, name).toMatchObject({ inFlight, sockets });
  }
  expect(r.events.all.filter(({ pending }) => pending).length).toBeLessThanOrEqual(inFlight);
}

/** What may be asked of a connection. */
function connectionCalls(r: Rig, of: PortSocket): Record<string, () => unknown> {
  return {
    receive: () => r.port.receive(of, r.event()),
    send: () => r.port.send(of, r.event(), r.gather('x')),
    sendFile: () => r.port.sendFile(of, r.event(), 0, 0, 1),
    shutdown: () => r.port.shutdown(of),
  };
}

export function guarding(suite: Suite): void {
  suite.rule('every operation refuses a socket of another port, and what is no socket', async () => {
    const [r, other] = [suite.rig(), suite.rig()];
    const { socket } = await other.served();
    const listener = await other.listen();
    const stream = other.receive(socket);
    for (const foreign of [socket, listener, Object.create(socket) as PortSocket, {} as PortSocket]) {
      expectRefused(r, {
        ...connectionCalls(r, foreign),
        accept: () => r.port.accept(foreign, r.event()),
        sendTo: () => r.port.sendTo(foreign, r.event(), r.gather('x'), null),
        cancel: () => r.port.cancel(foreign, stream),
        close: () => r.port.close(foreign),
      });
    }
    expect([stream.pending, socket.pending]).toEqual([true, 1]);
    expect(other.port.stats).toMatchObject({ inFlight: 1, sockets: 2 });
  });

  suite.rule('a listener accepts, and does nothing else', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    expectRefused(r, {
      ...connectionCalls(r, listener),
      sendTo: () => r.port.sendTo(listener, r.event(), r.gather('x'), null),
    });
    // It serves as before.
    const accepting = r.accept(listener);
    r.peer(listener.localEndpoint());
    expect((await r.pump.next('Accept', accepting)).error).toBeNull();
  });

  suite.rule('a connection neither accepts nor sends datagrams', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    expectRefused(r, {
      accept: () => r.port.accept(socket, r.event()),
      sendTo: () => r.port.sendTo(socket, r.event(), r.gather('x'), null),
    });
    await r.sent(socket, 'fine');
    expect(String(await peer.read(4))).toBe('fine');
  });

  suite.rule(
    'a send is in flight until its packet has been dequeued, and nothing is sent or shut down until then',
    async () => {
      const r = suite.rig();
      const { port, pump } = r;
      const { socket, peer } = await r.served();
      pump.stop();
      // It is older than the send: dequeue() hands the send to the kernel, and brings no packet of it.
      port.post('older', 0);
      const sending = r.send(socket, 'one');
      const second = () => {
        const { receive: _, ...sends } = connectionCalls(r, socket);
        expectRefused(r, sends);
      };
      second();
      const batch = createBatch(1);
      expect([port.dequeue(batch, 0), batch[0]!.key]).toEqual([1, 'older']);
      // The packet of the send is queued by now, or will be.
      expect(String(await peer.read(3))).toBe('one');
      expect(sending.pending).toBe(true);
      second();
      pump.start();
      await pump.next('Send', sending);
      await r.sent(socket, 'two');
      expect(String(await peer.read(3))).toBe('two');
      port.shutdown(socket);
      second();
      expect((await pump.next('Shutdown', socket)).error).toBeNull();
      second();
    },
  );

  suite.rule('a socket that is closing takes no operation, and none when it is closed', async () => {
    const r = suite.rig();
    const { socket } = await r.served();
    const listener = await r.listen();
    const accept = () => r.port.accept(listener, r.event());
    r.port.close(socket);
    r.port.close(listener);
    expectRefused(r, { ...connectionCalls(r, socket), accept });
    await r.pump.next('Close', socket);
    await r.pump.next('Close', listener);
    expectRefused(r, { ...connectionCalls(r, socket), accept });
  });

  suite.rule('stats are the same object each time, and right at any time', async () => {
    const r = suite.rig({ receiveBuffers: { count: 4, size: 64 } });
    const { port, pump } = r;
    const { stats } = port;
    const { socket, peer } = await r.served();
    expect(port.stats).toBe(stats);
    expect(stats).toMatchObject({ inFlight: 0, sockets: 1, buffersOut: 0, dropped: 0, starved: 0 });
    const { packets } = stats;
    // Those of the accept and of the listener's close.
    expect(packets).toBe(2);
    expect(stats.wakeUps).toBeGreaterThan(0);
    expect(stats.wakeUps).toBeLessThanOrEqual(packets);
    pump.holding = true;
    const stream = r.receive(socket);
    expect(stats.inFlight).toBe(1);
    await peer.write('held');
    const { buffer } = await pump.next('Receive', stream);
    expect(stats).toMatchObject({ inFlight: 1, buffersOut: 1, packets: packets + 1 });
    port.release(buffer);
    expect(stats.buffersOut).toBe(0);
    pump.holding = false;
    await peer.write(Buffer.alloc(64 * 8));
    await r.read(stream, 64 * 8);
    await r.close(socket);
    await r.endOf(stream);
    expect(stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0 });
    expect(port.stats).toBe(stats);
  });

  suite.rule('what a destroyed port had is in its stats no more', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const { socket, peer } = await r.served();
    pump.holding = true;
    const stream = r.receive(socket);
    await peer.write('held');
    await pump.next('Receive', stream);
    expect(port.stats.buffersOut).toBe(1);
    pump.stop();
    port.destroy();
    expect(port.stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0 });
  });
}
