// The order of the packets of real sockets on a port of Windows. On Linux the session package's port.test.ts has this rule.

import { once } from 'node:events';
import net from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { IocpPortToken } from '../src/shared-port/iocp-port.js';
import { LISTENER, Ready } from '../src/shared-port/socket-contract.js';
import { createSocketPort, destroySocketPort, listenShared, openSocketPort } from '../src/shared-port/sockets.js';
import { win32Backend } from '../src/win32/backend.js';
import { HANDLE, library, POINTER, type Pointer } from '../src/win32/library.js';
import { closeHandle } from '../src/win32/winsock.js';
import { changes } from './shared-port/crew.js';

const SESSIONS = 20;

/** Packets that wait in a completion port. */
function depthOf(port: number): number {
  const query = library('ntdll.dll')<[number, number, Pointer, number, Pointer]>(
    'NtQueryIoCompletion',
    'int',
    HANDLE,
    'int',
    POINTER,
    'uint32_t',
    POINTER,
  );
  const depth = new Int32Array(1);
  expect(query(port, 0, new Uint8Array(depth.buffer), 4, null)).toBe(0);
  return depth[0]!;
}

it.runIf(win32Backend.available().available)('the oldest packet of the sockets is taken first', async () => {
  const token = createSocketPort({ concurrency: 1, posts: 64, records: SESSIONS, services: 1 }) as IocpPortToken;
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
  for (let slot = 0; slot < SESSIONS; slot++) {
    const client = net.connect(endpoint.port, '127.0.0.1');
    clients.push(client);
    await once(client, 'connect');
    await changes('a connection', () => port.wait(0));
    expect(port.low).toBe(LISTENER);
    const fd = port.accept(listener, into, {});
    expect(fd).toBeGreaterThan(0);
    accepted.push(fd);
    port.armListener(listener, 0);
    expect(port.add(fd, slot, 1)).toBe(0);
    expect(port.arm(fd, Ready.Read, slot, 1, 0, 0)).toBe(0);
  }
  const order = Array.from({ length: SESSIONS }, (_, i) => (i * 7) % SESSIONS);
  for (const [before, slot] of order.entries()) {
    clients[slot]!.write(String(slot));
    await changes('its packet', () => depthOf(token.handle) === before + 1);
  }
  const taken: unknown[] = [];
  while (port.wait(0)) {
    expect([port.ready, sockets.receive(accepted[port.low]!)]).toEqual([Ready.Read, String(port.low).length]);
    port.done();
    taken.push(port.low);
  }
  expect(taken).toEqual(order);
});
