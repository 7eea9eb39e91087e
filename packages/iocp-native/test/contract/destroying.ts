// Rules about destroying a port.

import { expect } from 'vitest';
import { isIocpError } from '../../src/contract/errors.js';
import { createBatch } from '../../src/contract/port.js';
import { LOOPBACK } from '../support/rig.js';
import type { Suite } from '../support/suite.js';

export function destroying(suite: Suite): void {
  suite.rule('destroy ends what is in flight and closes every socket', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    const connections = [await r.served(), await r.served(false), await r.served()];
    const events = [
      r.accept(listener),
      ...connections.map(({ socket }) => r.receive(socket)),
      r.send(connections[1]!.socket, Buffer.alloc(48 << 20)),
    ];
    await r.pump.turns(5);
    expect(events.every(({ pending }) => pending)).toBe(true);
    const { port } = listener.localEndpoint();
    r.pump.stop();
    r.port.destroy();
    expect(events.some(({ pending }) => pending)).toBe(false);
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0 });
    for (const { peer } of connections) {
      peer.raw.resume();
      await peer.until('the end', () => peer.ended || peer.closed);
    }
    const refused = r.peer({ ...LOOPBACK, port });
    await refused.until('the refusal', () => refused.error !== null);
    expect(refused.error?.code).toBe('ECONNREFUSED');
  });

  suite.rule('destroy ends what is in flight, however long the thread has not looked at the port', async () => {
    const r = suite.rig();
    const { socket } = await r.served();
    const stream = r.receive(socket);
    await r.pump.turns(1);
    // The wait of the event loop ends meanwhile, and nobody hears of it.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
    r.port.destroy();
    expect(stream.pending).toBe(false);
  });

  suite.rule('destroy discards packets that nobody dequeued', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    r.pump.stop();
    const stream = r.receive(socket);
    await peer.write('never seen');
    r.port.post('never seen', 1);
    r.port.destroy();
    expect(stream.pending).toBe(false);
    await peer.until('the end', () => peer.ended || peer.closed);
  });

  suite.rule('destroying twice is harmless', () => {
    const port = suite.open();
    port.destroy();
    port.destroy();
  });

  suite.rule('every call on a destroyed port throws EBADF', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    const { socket } = await r.served();
    const event = r.event();
    const list = r.gather('x');
    r.pump.stop();
    r.port.destroy();
    const { port } = r;
    const calls: Record<string, () => unknown> = {
      allocate: () => port.allocate(1),
      accept: () => port.accept(listener, event),
      adopt: () => port.adopt(-1),
      connect: () => port.connect(event, { ...LOOPBACK, port: 1 }, null),
      receive: () => port.receive(socket, event),
      send: () => port.send(socket, event, list),
      shutdown: () => port.shutdown(socket),
      cancel: () => port.cancel(socket, event),
      close: () => port.close(socket),
      post: () => port.post(1, 1),
      share: () => port.share(),
      dequeue: () => port.dequeue(createBatch(1), 0),
      watch: () => port.watch(() => {}),
    };
    for (const [name, call] of Object.entries(calls)) {
      let error: unknown;
      try {
        call();
      } catch (thrown) {
        error = thrown;
      }
      expect(isIocpError(error) && error.code, name).toBe('EBADF');
    }
    await expect(port.listen(LOOPBACK)).rejects.toMatchObject({ code: 'EBADF' });
    expect(event.pending).toBe(false);
  });

  suite.rule('a destroyed port calls no watcher', async () => {
    const { port, pump } = suite.rig();
    pump.stop();
    let called = false;
    port.watch(() => {
      called = true;
    });
    port.post('x', 1);
    port.destroy();
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(called).toBe(false);
  });

  suite.rule('ports are independent of each other', async () => {
    const [one, two] = [suite.rig(), suite.rig()];
    const listener = await one.listen();
    const accepting = one.accept(listener);
    const connecting = two.event();
    const client = two.port.connect(connecting, listener.localEndpoint(), undefined);
    await two.pump.next('Connect', connecting);
    const { socket } = await one.pump.next('Accept', accepting);
    const stream = two.receive(client);
    await one.sent(socket!, 'across');
    expect(String(await two.read(stream, 6))).toBe('across');
    one.pump.stop();
    one.port.destroy();
    expect((await two.endOf(stream)).socket === client).toBe(true);
    two.port.post('alive', 1);
    expect((await two.pump.next('Post')).key).toBe('alive');
  });
}
