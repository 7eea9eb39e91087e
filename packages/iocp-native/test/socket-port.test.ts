// The packets of real sockets on a port of Windows: their order, those of a lost thread, and those of the close. On Linux the session
// package's port.test.ts has the rule of the order.

import { once } from 'node:events';
import net from 'node:net';
import { threadId } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { IocpPortToken } from '../src/shared-port/iocp-port.js';
import { LISTENER, Ready } from '../src/shared-port/socket-contract.js';
import { createSocketPort, destroySocketPort, listenShared, openSocketPort } from '../src/shared-port/sockets.js';
import { win32Backend } from '../src/win32/backend.js';
import { depthOfPort } from '../src/win32/ntdll.js';
import { closeHandle } from '../src/win32/winsock.js';
import { changes } from './shared-port/crew.js';

/** A port with connections, whose sockets are armed. */
async function openPort(sessions: number) {
  const token = createSocketPort({ concurrency: 1, posts: 64, records: sessions, services: 1 }) as IocpPortToken;
  const { port, sockets } = openSocketPort(token);
  const { fd: listener, endpoint } = listenShared({ address: '127.0.0.1', family: 4, port: 0 }, {});
  expect(port.listen(listener, 0)).toBe(0);
  const into = new Int32Array(1);
  const clients: net.Socket[] = [];
  const accepted: number[] = [];
  onTestFinished(() => {
    for (const client of clients) client.destroy();
    for (const fd of [...accepted, listener]) closeHandle(fd);
    port.unlisten(0);
    port.release();
    destroySocketPort(token);
  });
  for (let slot = 0; slot < sessions; slot++) {
    const client = net.connect(endpoint.port, '127.0.0.1');
    clients.push(client);
    await once(client, 'connect');
    await changes('a connection', () => port.wait(0));
    expect(port.low).toBe(LISTENER);
    const fd = port.accept(listener, into, {});
    expect(fd).toBeGreaterThan(0);
    accepted.push(fd);
    expect(port.armListener(listener, 0)).toBe(0);
    expect(port.add(fd, slot, 1)).toBe(0);
    expect(port.arm(fd, Ready.Read, slot, 1, 0, 0)).toBe(0);
  }
  return { token, port, sockets, clients, accepted };
}

// Elsewhere there is no completion port of the kernel.
describe.runIf(win32Backend.available().available)('a port of sockets on Windows', () => {
  it('gives the oldest packet first', async () => {
    const { token, port, sockets, clients, accepted } = await openPort(20);
    const order = Array.from(clients, (_, i) => (i * 7) % clients.length);
    for (const [before, slot] of order.entries()) {
      clients[slot]!.write(String(slot));
      await changes('its packet', () => depthOfPort(token.handle) === before + 1);
    }
    const taken: number[] = [];
    while (port.wait(0)) {
      expect([port.ready, sockets.receive(accepted[port.low]!)]).toEqual([Ready.Read, String(port.low).length]);
      port.done();
      taken.push(port.low);
    }
    expect(taken).toEqual(order);
  });

  it('gives a packet once more when the thread has ended that had taken it', async () => {
    const { token, port, clients } = await openPort(2);
    clients[1]!.write('x');
    await changes('its packet', () => port.wait(0));
    expect(port.wait(0)).toBe(false);
    const { port: other } = openSocketPort(token);
    onTestFinished(() => other.release());
    // As the core's thread does for a thread that has ended; the test's own had taken the packet.
    other.recover(threadId, -1);
    expect([other.wait(0), other.low, other.ready]).toEqual([true, 1, Ready.Read]);
    other.done();
    expect(other.wait(0)).toBe(false);
  });

  it('starts an operation when the thread has ended that was about to', async () => {
    const { token, port, sockets, clients, accepted } = await openPort(1);
    clients[0]!.write('x');
    await changes('its packet', () => port.wait(0));
    expect(sockets.receive(accepted[0]!)).toBe(1);
    port.done();
    // It throws between the note that it starts the receive, and the call.
    expect(() => port.arm('no descriptor' as never, Ready.Read, 0, 1, 0, 0)).toThrow('String');
    const { port: other } = openSocketPort(token);
    onTestFinished(() => other.release());
    other.recover(threadId, -1);
    expect(other.arm(accepted[0]!, Ready.Read, 0, 1, 0, 0)).toBe(0);
    clients[0]!.write('y');
    await changes('the next packet', () => other.wait(0));
    expect([other.low, other.ready, sockets.receive(accepted[0]!)]).toEqual([0, Ready.Read, 1]);
    other.done();
  });

  it('has a packet for each thread that waits when it is closed', async () => {
    const { token, port } = await openPort(1);
    const { port: other } = openSocketPort(token);
    onTestFinished(() => other.release());
    expect([port.wait(0), other.wait(0), depthOfPort(token.handle)]).toEqual([false, false, 0]);
    port.close();
    expect(depthOfPort(token.handle)).toBe(2);
  });
});
