// Rules about addresses, families and socket options.

import { networkInterfaces } from 'node:os';
import { expect } from 'vitest';
import { endpoint } from '../../src/contract/endpoint.js';
import { isIocpError } from '../../src/contract/errors.js';
import { type Endpoint, Operation, type PortSocket } from '../../src/contract/port.js';
import { linkLocal } from '../support/link-local.js';
import { LOOPBACK, type Rig } from '../support/rig.js';
import { bufferSizesOf, hasKeepAlive, hasNoDelay, keepAliveOf, tosOf } from '../support/socket-options.js';
import type { Suite } from '../support/suite.js';

const hasIPv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
/** What systems say of one. */
const NO_SUCH_ZONE = /^(ENODEV|EINVAL|ENETUNREACH|EADDRNOTAVAIL)$/;

export function addresses(suite: Suite): void {
  suite.rule('listening on a port in use rejects with EADDRINUSE', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    await expect(rejection(r, listener.localEndpoint())).resolves.toMatchObject({ code: 'EADDRINUSE' });
    expect(r.port.stats.sockets).toBe(1);
  });

  suite.rule('listening on an address of another machine rejects with EADDRNOTAVAIL', async () => {
    const r = suite.rig();
    // TEST-NET-1: nobody has it.
    const error = await rejection(r, { address: '192.0.2.1', family: 4, port: 0 });
    expect(error).toMatchObject({ code: 'EADDRNOTAVAIL' });
    expect(r.port.stats.sockets).toBe(0);
  });

  suite.rule('endpoints are those of the connection', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    const local = listener.localEndpoint();
    expect(local).toMatchObject({ address: '127.0.0.1', family: 4 });
    expect(local.port).toBeGreaterThan(0);
    expect(() => listener.remoteEndpoint()).toThrow(/^Cannot /);
    const { server, client } = await r.dial(listener);
    expect(server.localEndpoint()).toEqual(local);
    expect(client.remoteEndpoint()).toEqual(local);
    expect(server.remoteEndpoint()).toEqual(client.localEndpoint());
    await r.close(client);
    expect(() => client.localEndpoint()).toThrow(/^Cannot /);
  });

  suite.rule('a port may be asked for by its number', async () => {
    const r = suite.rig();
    const first = await r.listen();
    const { port } = first.localEndpoint();
    await r.close(first);
    const second = await r.port.listen({ ...LOOPBACK, port });
    expect(second.localEndpoint().port).toBe(port);
  });

  suite.rule('IPv6 works as IPv4 does', async ({ skip }) => {
    if (!hasIPv6) skip('this machine has no ::1');
    const r = suite.rig();
    const listener = await r.listen(undefined, { address: '::1', family: 6, port: 0 });
    expect(listener.localEndpoint()).toMatchObject({ address: '::1', family: 6 });
    const { server, client } = await r.dial(listener);
    expect(server.remoteEndpoint()).toEqual(client.localEndpoint());
    expect(client.localEndpoint()).toMatchObject({ address: '::1', family: 6 });
    const stream = r.receive(server);
    await r.sent(client, 'over six');
    expect(String(await r.read(stream, 8))).toBe('over six');
  });

  suite.rule('a listener on :: takes IPv4 clients, unless ipv6Only', async ({ skip }) => {
    if (!hasIPv6) skip('this machine has no ::1');
    const r = suite.rig();
    const any: Endpoint = { address: '::', family: 6, port: 0 };
    const dual = await r.listen(undefined, any);
    const event = r.accept(dual);
    const peer = r.peer({ ...LOOPBACK, port: dual.localEndpoint().port });
    const { socket } = await r.pump.next('Accept', event);
    expect(socket!.remoteEndpoint()).toMatchObject({ address: '::ffff:127.0.0.1', family: 6 });
    await r.sent(socket!, 'hi');
    expect(String(await peer.read(2))).toBe('hi');

    const only = await r.listen({ ipv6Only: true }, any);
    r.accept(only);
    const refused = r.peer({ ...LOOPBACK, port: only.localEndpoint().port });
    await refused.until('the refusal', () => refused.error !== null);
    expect(refused.error?.code).toBe('ECONNREFUSED');
  });

  suite.rule('a link-local address has its zone', async ({ skip }) => {
    if (linkLocal === undefined) skip('this machine has no link-local address');
    const { address, numbered } = linkLocal!;
    const r = suite.rig();
    for (const at of [address, numbered]) {
      const listener = await r.listen(undefined, endpoint(at, 0));
      expect(listener.localEndpoint()).toMatchObject({ address, family: 6 });
      const to = endpoint(at, listener.localEndpoint().port);
      const { server, client } = await r.dial(listener, undefined, to);
      for (const socket of [server, client]) {
        expect(socket.remoteEndpoint().address).toBe(address);
        expect(socket.localEndpoint().address).toBe(address);
      }
      await r.close(listener);
    }
  });

  suite.rule('a link-local client of a listener on :: is accepted as any', async ({ skip }) => {
    if (linkLocal === undefined) skip('this machine has no link-local address');
    const r = suite.rig();
    const listener = await r.listen(undefined, { address: '::', family: 6, port: 0 });
    const event = r.accept(listener);
    const peer = r.peer(endpoint(linkLocal!.address, listener.localEndpoint().port));
    const { socket, error } = await r.pump.next('Accept', event);
    expect(error).toBeNull();
    expect(socket!.remoteEndpoint()).toMatchObject({ address: linkLocal!.address, family: 6 });
    await r.sent(socket!, 'hi');
    expect(String(await peer.read(2))).toBe('hi');
  });

  suite.rule('a zone that this machine has not is refused', async ({ skip }) => {
    if (!hasIPv6) skip('this machine has no ::1');
    const r = suite.rig();
    const nowhere = endpoint('fe80::1%1999999', 9);
    expect(await rejection(r, nowhere)).toMatchObject({ code: expect.stringMatching(NO_SUCH_ZONE) });
    const event = r.event();
    const socket = r.port.connect(event, nowhere, undefined);
    expect((await r.pump.next('Connect', event)).error?.code).toMatch(NO_SUCH_ZONE);
    await r.close(socket);
  });

  suite.rule('an option takes no value of another type or beyond its range', async () => {
    const { server } = await suite.rig().pair();
    expect(() => server.setOption('tos', 256)).toThrow(RangeError);
    expect(() => server.setOption('keepAlive', -1)).toThrow(RangeError);
    expect(() => server.setOption('noDelay', 1 as never)).toThrow(TypeError);
    expect(() => server.setOption('toString' as never, true as never)).toThrow(/ENOTSUP/);
  });

  suite.rule('options can be set on a connection', async () => {
    const r = suite.rig();
    const { server, client } = await r.pair({ noDelay: false, keepAlive: 30 });
    for (const socket of [server, client]) {
      socket.setOption('noDelay', true);
      socket.setOption('noDelay', false);
      socket.setOption('keepAlive', 60);
      socket.setOption('keepAlive', 0);
    }
    const stream = r.receive(server);
    await r.sent(client, 'still works');
    expect(String(await r.read(stream, 11))).toBe('still works');
    await r.close(client);
    expect(() => client.setOption('noDelay', true)).toThrow(/^Cannot /);
    expect(() => client.setOption('keepAlive', 1)).toThrow(/^Cannot /);
  });

  suite.rule('sockets have the options asked for, and accepted ones those of their listener', async () => {
    const r = suite.rig();
    for (const options of [undefined, { noDelay: false }, { noDelay: true, keepAlive: 30 }, { keepAlive: 30 }]) {
      const { server, client } = await r.pair(options);
      for (const { handle } of [server, client]) {
        expect(hasNoDelay(handle)).toBe(options?.noDelay ?? true);
        expect(hasKeepAlive(handle)).toBe(options?.keepAlive !== undefined);
      }
      server.setOption('noDelay', false);
      server.setOption('keepAlive', 0);
      client.setOption('noDelay', true);
      client.setOption('keepAlive', 10);
      expect([server, client].map(({ handle }) => hasNoDelay(handle))).toEqual([false, true]);
      expect([server, client].map(({ handle }) => hasKeepAlive(handle))).toEqual([false, true]);
    }
  });

  suite.rule('keep-alive probes are as asked for, at the start and later', async () => {
    const r = suite.rig();
    const keepAlive = { idle: 30, interval: 5, count: 3 };
    const { server, client } = await r.pair({ keepAlive });
    for (const socket of [server, client]) {
      expect(keepAliveOf(socket.handle)).toEqual(keepAlive);
      socket.setOption('keepAlive', { idle: 40, count: 4 });
      expect(hasKeepAlive(socket.handle)).toBe(true);
      expect(keepAliveOf(socket.handle)).toEqual({ idle: 40, interval: 5, count: 4 });
      socket.setOption('keepAlive', 0);
      expect(hasKeepAlive(socket.handle)).toBe(false);
    }
    // A value that the system refuses fails the listener, not each of its accepts.
    const listening = r.listen({ keepAlive: { idle: 1 << 20 } });
    const refusal = await listening.then(() => null).catch(({ code }) => code);
    if (refusal === null) await r.dial(await listening);
    else expect(refusal).toBe('EINVAL');
  });

  suite.rule('buffers have the sizes asked for', async () => {
    const r = suite.rig();
    const sizes = { sendBufferSize: 24_576, receiveBufferSize: 49_152 };
    const { server, client } = await r.pair(sizes);
    for (const { handle } of [server, client]) expect(bufferSizesOf(handle)).toEqual(sizes);
  });

  suite.rule('packets have the type of service asked for, at the start and later', async ({ skip }) => {
    const r = suite.rig();
    for (const address of hasIPv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
      const local = endpoint(address, 0);
      const listener = await r.listen({ tos: 0xb8 }, local);
      const { server, client } = await r.dial(listener, { tos: 0x28 });
      const of = (socket: PortSocket) => tosOf(socket.handle, local.family);
      expect([listener, server, client].map(of)).toEqual([0xb8, 0xb8, 0x28]);
      for (const socket of [listener, server, client]) socket.setOption('tos', 0x48);
      expect([listener, server, client].map(of)).toEqual([0x48, 0x48, 0x48]);
      const later = await r.dial(listener);
      expect([later.server, later.client].map(of)).toEqual([0x48, 0]);
    }
    if (!hasIPv6) skip('this machine has no ::1');
    // IPv4 peers of a socket of IPv6 get what it has for IPv4.
    const both = await r.listen({ tos: 0xb8 }, endpoint('::', 0));
    expect([tosOf(both.handle, 4), tosOf(both.handle, 6)]).toEqual([0xb8, 0xb8]);
  });

  suite.rule('a type of service is refused where packets cannot have it: ENOTSUP', async () => {
    const r = suite.rig();
    await expect(r.listen({ tos: 8 })).rejects.toMatchObject({ code: 'ENOTSUP', name: 'IocpError' });
    const event = r.event();
    const socket = r.port.connect(event, { ...LOOPBACK, port: 9 }, undefined, { tos: 8 });
    expect((await r.pump.next('Connect', event)).error?.code).toBe('ENOTSUP');
    await r.close(socket);
    const { server } = await r.pair();
    expect(() => server.setOption('tos', 8)).toThrow(/^Cannot set tos: .+ENOTSUP/);
  });

  suite.rule('an option that node:net lacks is refused: ENOTSUP', async () => {
    const r = suite.rig();
    const { server } = await r.pair({ keepAlive: { idle: 30 } });
    server.setOption('keepAlive', { idle: 10 });
    expect(() => server.setOption('keepAlive', { idle: 10, count: 2 })).toThrow(/^Cannot .+ENOTSUP/);
    const refused = [{ keepAlive: { idle: 1, interval: 1 } }, { sendBufferSize: 4096 }, { receiveBufferSize: 4096 }];
    for (const options of refused) {
      await expect(r.listen(options)).rejects.toMatchObject({ code: 'ENOTSUP', name: 'IocpError' });
      const event = r.event();
      const socket = r.port.connect(event, { ...LOOPBACK, port: 9 }, undefined, options);
      expect((await r.pump.next('Connect', event)).error?.code).toBe('ENOTSUP');
      await r.close(socket);
    }
  });

  suite.rule('a completed accept and connect have a socket, and nothing of a receive', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    const accepting = r.accept(listener);
    const connecting = r.event();
    const client = r.port.connect(connecting, listener.localEndpoint(), 'key');
    const nothing = { bytes: 0, handle: -1, data: null, buffer: -1, error: null };
    const connected = await r.pump.next('Connect', connecting);
    expect(connected).toMatchObject({ ...nothing, operation: Operation.Connect });
    expect(connected.socket === client).toBe(true);
    const accepted = await r.pump.next('Accept', accepting);
    expect(accepted).toMatchObject({ ...nothing, operation: Operation.Accept });
    expect(accepted.socket === null || accepted.socket === listener).toBe(false);
  });
}

async function rejection(r: Rig, local: Endpoint): Promise<unknown> {
  const error = await r.port.listen(local).then(
    () => null,
    (reason) => reason,
  );
  expect(isIocpError(error)).toBe(true);
  expect(error.syscall).toMatch(/^\w+$/);
  expect(error.message).toMatch(/^Cannot .+: .+/);
  return error;
}
