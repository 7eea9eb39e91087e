// Rules about who a datagram socket deals with: families, connected sockets, peers that are gone, broadcasts.

import { AssertionError } from 'node:assert';
import { networkInterfaces } from 'node:os';
import { expect } from 'vitest';
import { endpoint } from '../../src/contract/endpoint.js';
import type { Endpoint } from '../../src/contract/port.js';
import { DatagramPeer } from '../support/datagram-peer.js';
import { linkLocal } from '../support/link-local.js';
import type { Packet } from '../support/pump.js';
import { LOOPBACK, type Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';
import { type Bound, bound, sent } from './datagrams.js';

const hasIPv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
const LOOPBACK6: Endpoint = { address: '::1', family: 6, port: 0 };
const ANY6: Endpoint = { address: '::', family: 6, port: 0 };

export function datagramPeers(suite: Suite): void {
  suite.rule('binding to what is in use, or not ours, rejects', async () => {
    const r = suite.rig();
    const { local } = await bound(r);
    expect(local).toMatchObject({ address: '127.0.0.1', family: 4 });
    expect(local.port).toBeGreaterThan(0);
    const code = (where: Endpoint, remote?: Endpoint) =>
      r.port.bind(where, remote && { remote }).then(
        () => 'bound',
        (error) => error.code,
      );
    expect(await code(local)).toBe('EADDRINUSE');
    expect(await code({ address: '192.0.2.1', family: 4, port: 0 })).toBe('EADDRNOTAVAIL');
    expect(await code(LOOPBACK, { ...LOOPBACK6, port: 9 })).toBe('EAFNOSUPPORT');
    expect(r.port.stats.sockets).toBe(1);
  });

  suite.rule('datagrams pass over IPv6', async ({ skip }) => {
    if (!hasIPv6) skip('this machine has no ::1');
    const r = suite.rig();
    const { socket, stream, local } = await bound(r, LOOPBACK6);
    const peer = await DatagramPeer.bind('::1');
    for (const text of ['over', 'IPv6']) {
      await peer.send(text, local);
      const { data, from } = await r.pump.next('Receive', stream);
      expect(from).toEqual(peer.endpoint);
      // As it came, and as anybody would write it.
      for (const to of [from, peer.endpoint]) {
        await sent(r, socket, to, r.gather(data!));
        expect(await peer.text()).toBe(text);
      }
    }
  });

  suite.rule('a link-local peer is answered, as its datagram says and as anybody would write it', async ({ skip }) => {
    if (linkLocal === undefined) skip('this machine has no link-local address');
    const { address, numbered } = linkLocal!;
    const r = suite.rig();
    const { socket, stream, local } = await bound(r, ANY6);
    const peer = await DatagramPeer.bind(address);
    await peer.send('hello', { ...local, address });
    const { from } = await r.pump.next('Receive', stream);
    const { port } = peer.endpoint;
    expect(from).toEqual({ address, family: 6, port });
    for (const to of [from, endpoint(address, port), endpoint(numbered, port)]) {
      expect((await sent(r, socket, to, r.gather('back'))).error).toBeNull();
      expect(await peer.text()).toBe('back');
    }
    const { socket: single } = await bound(r, ANY6, { remote: endpoint(address, port) });
    expect(single.remoteEndpoint()).toMatchObject({ address, port });
    expect((await sent(r, single, null, r.gather('to the only one'))).error).toBeNull();
    expect(await peer.text()).toBe('to the only one');
  });

  suite.rule('a dual-stack datagram socket has peers of both families', async ({ skip }) => {
    if (!hasIPv6) skip('this machine has no ::1');
    const r = suite.rig();
    const { socket, stream, local } = await bound(r, ANY6);
    const peers = [await DatagramPeer.bind('::1'), await DatagramPeer.bind('127.0.0.1')];
    for (const peer of peers) {
      const { address, port } = peer.endpoint;
      await peer.send('hello', { ...local, address });
      const { from } = await r.pump.next('Receive', stream);
      expect(from).toEqual({ address: address === '::1' ? '::1' : '::ffff:127.0.0.1', family: 6, port });
      for (const to of [from, peer.endpoint]) {
        expect((await sent(r, socket, to, r.gather('back'))).error).toBeNull();
        expect(await peer.text()).toBe('back');
      }
    }
  });

  suite.rule('ipv6Only keeps IPv4 peers out', async ({ skip }) => {
    if (!hasIPv6) skip('this machine has no ::1');
    const r = suite.rig();
    const { stream, local } = await bound(r, ANY6, { ipv6Only: true });
    const [four, six] = [await DatagramPeer.bind('127.0.0.1'), await DatagramPeer.bind('::1')];
    await four.send('four', { ...local, address: '127.0.0.1' });
    await six.send('six', { ...local, address: '::1' });
    expect(String((await r.pump.next('Receive', stream)).data)).toBe('six');
  });

  suite.rule('an IPv4 datagram socket reaches no IPv6 address: EAFNOSUPPORT', async () => {
    const r = suite.rig();
    const { socket } = await bound(r);
    const packet = await sent(r, socket, { ...LOOPBACK6, port: 9 }, r.gather('x'));
    expect(packet).toMatchObject({ bytes: 0, error: { code: 'EAFNOSUPPORT' } });
  });

  suite.rule('a connected datagram socket deals with its peer alone', async () => {
    const r = suite.rig();
    const [peer, other] = [await DatagramPeer.bind(), await DatagramPeer.bind()];
    const { socket, stream, local } = await bound(r, LOOPBACK, { remote: peer.endpoint });
    expect(socket.remoteEndpoint()).toEqual(peer.endpoint);
    await other.send('not for you', local);
    await peer.send('hello', local);
    const packet = await r.pump.next('Receive', stream);
    expect(packet.from).toEqual(peer.endpoint);
    expect(String(packet.data)).toBe('hello');
    expect(await sent(r, socket, null, r.gather('to ', 'the peer'))).toMatchObject({ bytes: 11, error: null });
    expect(await peer.text()).toBe('to the peer');
    const unconnected = await r.port.bind(LOOPBACK);
    expect(() => r.port.sendTo(unconnected, r.event(), r.gather('x'), null)).toThrow(AssertionError);
    expect(() => unconnected.remoteEndpoint()).toThrow(/^Cannot /);
  });

  suite.rule('a connected datagram socket learns with ECONNREFUSED that nobody listens', async () => {
    const r = suite.rig();
    await refused(r);
  });

  suite.rule('after ECONNREFUSED a connected datagram socket goes on', async () => {
    const r = suite.rig();
    const { socket, stream, gone } = await refused(r);
    const peer = await DatagramPeer.bind('127.0.0.1', gone.port);
    // It may have been said of more than one datagram.
    while ((await sent(r, socket, null, r.gather('again'))).error) await r.pump.turns(1);
    expect(await peer.text()).toBe('again');
    r.port.cancel(socket, stream);
    await r.pump.until('the end of the stream', () => !stream.pending);
    const next = r.receive(socket);
    await peer.send('here', socket.localEndpoint());
    expect(String((await r.pump.next('Receive', next)).data)).toBe('here');
  });

  suite.rule('no peer that is gone ends the stream of a socket that is not connected', async () => {
    const r = suite.rig();
    const [gone, peer] = [await DatagramPeer.bind(), await DatagramPeer.bind()];
    await gone.close();
    const { socket, stream, local } = await bound(r);
    for (let i = 0; i < 10; i++) {
      expect((await sent(r, socket, gone.endpoint, r.gather('anybody?'))).error).toBeNull();
      await peer.send(`${i}`, local);
      expect(String((await r.pump.next('Receive', stream)).data)).toBe(`${i}`);
    }
  });

  suite.rule('a broadcast needs the option: EACCES', async () => {
    const r = suite.rig();
    const { socket } = await bound(r);
    const where: Endpoint = { address: '127.255.255.255', family: 4, port: 9 };
    expect((await sent(r, socket, where, r.gather('x'))).error?.code).toBe('EACCES');
    const { socket: allowed } = await bound(r, LOOPBACK, { broadcast: true });
    expect((await sent(r, allowed, where, r.gather('x'))).error).toBeNull();
  });
}

/** A connected socket that has been told that nobody listens at its peer, by a send or by the end of its stream. */
async function refused(r: Rig): Promise<Bound & { gone: Endpoint }> {
  const peer = await DatagramPeer.bind();
  await peer.close();
  const socket = await bound(r, LOOPBACK, { remote: peer.endpoint });
  let told: Packet | undefined;
  r.pump.tap(socket.stream, (packet) => {
    told = { ...packet };
  });
  while (told === undefined) {
    const packet = await sent(r, socket.socket, null, r.gather('anybody?'));
    if (packet.error) told = packet;
    await r.pump.turns(1);
  }
  expect(told).toMatchObject({ data: null, error: { code: 'ECONNREFUSED' } });
  return { ...socket, gone: peer.endpoint };
}
