// Rules about connects.

import { createServer } from 'node:net';
import { expect } from 'vitest';
import { isIocpError } from '../../src/contract/errors.js';
import type { Endpoint } from '../../src/contract/port.js';
import type { Suite } from '../support/suite.js';

export function connecting(suite: Suite): void {
  suite.rule('a connect gives one packet, and then the socket works', async () => {
    const r = suite.rig();
    const server = await r.server();
    const event = r.event();
    const socket = r.port.connect(event, server.endpoint, 'key');
    expect(event.pending).toBe(true);
    const packet = await r.pump.next('Connect', event);
    expect(packet).toMatchObject({ key: 'key', error: null, data: null });
    expect(packet.socket === socket).toBe(true);
    expect(event.pending).toBe(false);
    const peer = await server.next();
    expect(socket.remoteEndpoint()).toEqual(server.endpoint);
    expect(socket.localEndpoint()).toEqual({ address: '127.0.0.1', family: 4, port: peer.raw.remotePort });
    const stream = r.receive(socket);
    await r.sent(socket, 'question');
    expect(String(await peer.read(8))).toBe('question');
    await peer.write('answer');
    expect(String(await r.read(stream, 6))).toBe('answer');
    await r.close(socket);
    await peer.until('the end', () => peer.ended);
    peer.raw.destroy();
    await server.close();
  });

  suite.rule('a connect to the unspecified address reaches this machine', async () => {
    const r = suite.rig();
    const listener = await r.listen({}, { address: '0.0.0.0', family: 4, port: 0 });
    const { client, server } = await r.dial(listener, {}, listener.localEndpoint());
    expect(server.remoteEndpoint()).toEqual(client.localEndpoint());
  });

  suite.rule('a connect that is refused gives ECONNREFUSED, and the socket is closed as any', async () => {
    const r = suite.rig();
    const event = r.event();
    const socket = r.port.connect(event, await unusedEndpoint(), 'key');
    const { error, key } = await r.pump.next('Connect', event);
    expect(key).toBe('key');
    expect(isIocpError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'ECONNREFUSED', name: 'IocpError' });
    expect(error!.syscall).not.toBe('');
    expect(error!.message).toMatch(/^Cannot .+: .+ \(ECONNREFUSED, .+\)$/);
    expect(() => socket.remoteEndpoint()).toThrow(/^Cannot /);
    expect(r.port.stats.sockets).toBe(1);
    expect((await r.close(socket)).error).toBeNull();
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
  });

  suite.rule('a connect that is closed before its packet gives one packet, and then the Close packet', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    const event = r.event();
    const socket = r.port.connect(event, listener.localEndpoint(), undefined);
    r.port.close(socket);
    await r.pump.next('Close', socket);
    const packet = r.pump.take('Connect', event);
    expect([undefined, 'ECANCELED']).toContain(packet!.error?.code);
    expect(event.pending).toBe(false);
    expect(r.pump.left).toEqual([]);
  });

  suite.rule('a connect that is canceled gives one packet', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    const event = r.event();
    const socket = r.port.connect(event, listener.localEndpoint(), undefined);
    r.port.cancel(socket, event);
    const { error } = await r.pump.next('Connect', event);
    expect([undefined, 'ECANCELED']).toContain(error?.code);
    await r.close(socket);
    expect(r.pump.left).toEqual([]);
  });
}

/** An endpoint that was free a moment ago. */
function unusedEndpoint(): Promise<Endpoint> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve({ address: '127.0.0.1', family: 4, port }));
    });
  });
}
