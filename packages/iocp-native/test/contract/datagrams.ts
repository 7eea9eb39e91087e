// Rules about datagram sockets: what is received and sent, and how it ends. Who with is in datagram-peers.ts.

import { AssertionError } from 'node:assert';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect } from 'vitest';
import { reap } from '../../src/backend.js';
import { type Endpoint, GatherList, MAX_DATAGRAM_SENDS, MAX_GATHER, type PortSocket } from '../../src/contract/port.js';
import { createLedger } from '../../src/native/ledger.js';
import { DatagramPeer } from '../support/datagram-peer.js';
import type { TestEvent } from '../support/event.js';
import type { Packet } from '../support/pump.js';
import { LOOPBACK, type Rig } from '../support/rig.js';
import { tosOf } from '../support/socket-options.js';
import type { Suite } from '../support/suite.js';
import { library } from '../support/threads.js';

/** The largest that UDP carries over IPv4. */
const LARGEST = 65_507;
/** As many small ones as any system holds for a socket that nobody reads. */
const BURST = 100;

export function datagrams(suite: Suite): void {
  suite.rule('each datagram is a packet, in order, with who sent it', async () => {
    // Few buffers, so that each is used for datagrams of several lengths.
    const r = suite.rig({ receiveBuffers: { count: 2, size: 256 } });
    const { socket, stream, local } = await bound(r);
    const peers = [await DatagramPeer.bind(), await DatagramPeer.bind()];
    for (const text of ['one', 'two', 'three']) {
      for (const peer of peers) {
        await peer.send(text, local);
        const packet = await r.pump.next('Receive', stream);
        expect(packet).toMatchObject({ bytes: text.length, error: null, from: peer.endpoint });
        expect(packet.socket === socket).toBe(true);
        expect(String(packet.data)).toBe(text);
      }
    }
    expect(r.port.stats.buffersOut).toBe(0);
  });

  suite.rule('the memory of a datagram has its bytes, and nothing of those before', async () => {
    const r = suite.rig({ receiveBuffers: { count: 1, size: 256 } });
    const [here, there] = [await r.port.bind(LOOPBACK), await r.port.bind(LOOPBACK)];
    const stream = r.event();
    const wholes: string[] = [];
    r.pump.tap(stream, ({ data }) => {
      if (data !== null) wholes.push(Buffer.from(data.buffer).toString('latin1').replace(/\0+$/, ''));
    });
    r.port.receive(here, stream);
    for (const text of ['secret'.repeat(20), 'short']) {
      const event = r.event();
      r.port.sendTo(there, event, r.gather(text), here.localEndpoint());
      await r.pump.next('Send', event);
      await r.pump.until(text, () => wholes.includes(text));
    }
    expect(wholes).toEqual(['secret'.repeat(20), 'short']);
    await r.close(here);
    await r.close(there);
  });

  suite.rule('an answer goes to whoever sent the datagram', async () => {
    const r = suite.rig();
    const { socket, stream, local } = await bound(r);
    r.pump.tap(stream, ({ data, from, buffer }) => {
      const answer = r.gather(`${data} back`);
      expect(r.port.bufferOf(data!)).toBe(buffer);
      r.port.sendTo(socket, r.event(), answer, from);
    });
    for (let i = 0; i < 20; i++) {
      const peer = await DatagramPeer.bind();
      await peer.send(`${i}`, local);
      expect(await peer.next()).toEqual({ bytes: Buffer.from(`${i} back`), port: local.port });
    }
  });

  suite.rule('an empty datagram is a packet of no bytes, and not the end', async () => {
    const r = suite.rig();
    const { socket, stream, local } = await bound(r);
    const peer = await DatagramPeer.bind();
    for (const text of ['', 'x', '', '']) {
      await peer.send(text, local);
      const packet = await r.pump.next('Receive', stream);
      expect(packet).toMatchObject({ bytes: text.length, error: null, from: peer.endpoint });
      expect(String(packet.data)).toBe(text);
    }
    for (const pieces of [new GatherList(), r.gather('')]) {
      expect(await sent(r, socket, peer.endpoint, pieces)).toMatchObject({ bytes: 0, error: null });
      expect((await peer.next()).bytes.length).toBe(0);
    }
    expect(stream.pending).toBe(true);
  });

  suite.rule('the largest datagram passes both ways, when a receive buffer has room', async () => {
    const r = suite.rig({ receiveBuffers: { count: 4, size: 65_600 } });
    const { socket, stream, local } = await bound(r);
    const peer = await DatagramPeer.bind();
    const bytes = Buffer.alloc(LARGEST, 'largest ');
    await peer.send(bytes, local);
    const { data, error } = await r.pump.next('Receive', stream);
    expect(error).toBeNull();
    expect(data!.equals(bytes)).toBe(true);
    const packet = await sent(r, socket, peer.endpoint, r.gather(bytes.subarray(0, 1), bytes.subarray(1)));
    expect(packet).toMatchObject({ bytes: LARGEST, error: null });
    expect((await peer.next()).bytes.equals(bytes)).toBe(true);
  });

  suite.rule('a datagram that finds no room comes cut, with EMSGSIZE, and the next one whole', async () => {
    const r = suite.rig({ receiveBuffers: { count: 2, size: 112 } });
    const { stream, local } = await bound(r);
    const peer = await DatagramPeer.bind();
    for (const length of [64, 65, 1000, 64]) {
      await peer.send('t'.repeat(length), local);
      const packet = await r.pump.next('Receive', stream);
      expect(packet).toMatchObject({ bytes: 64, from: peer.endpoint });
      expect(String(packet.data)).toBe('t'.repeat(64));
      expect(packet.error?.code).toBe(length > 64 ? 'EMSGSIZE' : undefined);
    }
    expect(stream.pending).toBe(true);
  });

  suite.rule('one that UDP can not carry fails with EMSGSIZE, and the next is sent', async () => {
    const r = suite.rig();
    const { socket } = await bound(r);
    const peer = await DatagramPeer.bind();
    const packet = await sent(r, socket, peer.endpoint, r.gather(Buffer.alloc(LARGEST + 1)));
    expect(packet).toMatchObject({ bytes: 0, error: { code: 'EMSGSIZE' } });
    expect(packet.error!.message).toContain(`send to 127.0.0.1:${peer.endpoint.port}`);
    await sent(r, socket, peer.endpoint, r.gather('small'));
    expect(await peer.text()).toBe('small');
  });

  suite.rule('a datagram to port 0, which a peer may claim to have, does no harm', async () => {
    const r = suite.rig();
    const { socket } = await bound(r);
    const peer = await DatagramPeer.bind();
    const { error } = await sent(r, socket, LOOPBACK, r.gather('x'));
    // Wine says that it is sent.
    expect(['EINVAL', 'EADDRNOTAVAIL', undefined]).toContain(error?.code);
    await sent(r, socket, peer.endpoint, r.gather('next'));
    expect(await peer.text()).toBe('next');
  });

  suite.rule('pieces are one datagram', async () => {
    const r = suite.rig();
    const { socket } = await bound(r);
    const peer = await DatagramPeer.bind();
    const pieces = Array.from({ length: MAX_GATHER }, (_, i) => `${i},`);
    await sent(r, socket, peer.endpoint, r.gather(...pieces));
    expect(await peer.text()).toBe(pieces.join(''));
  });

  suite.rule('bursts: all are received, in order, and every slot comes back', async () => {
    const r = suite.rig();
    const { stream, local } = await bound(r);
    const peer = await DatagramPeer.bind();
    const seen: number[] = [];
    r.pump.tap(stream, ({ data }) => seen.push(data!.readUInt32LE()));
    for (let burst = 1; burst <= 20; burst++) {
      const sends = Array.from({ length: BURST }, (_, i) => peer.send(number((burst - 1) * BURST + i), local));
      await Promise.all(sends);
      await r.pump.until('the burst', () => seen.length === burst * BURST);
    }
    expect(seen).toEqual(Array.from(seen.keys()));
    expect(r.port.stats.buffersOut).toBe(0);
  });

  suite.rule('many sends may be in flight, each with its own event', async () => {
    const r = suite.rig();
    const { stream, local } = await bound(r);
    const { socket: sender } = await bound(r);
    const sends = Array.from({ length: BURST }, (_, i) => {
      const event = r.event();
      r.port.sendTo(sender, event, r.gather(number(i)), local);
      return event;
    });
    for (const [i, event] of sends.entries()) {
      expect(await r.pump.next('Send', event)).toMatchObject({ bytes: 4, error: null });
      expect(event.pending).toBe(false);
      expect((await r.pump.next('Receive', stream)).data!.readUInt32LE()).toBe(i);
    }
  });

  suite.rule('no more sends than MAX_DATAGRAM_SENDS may be in flight', async () => {
    const r = suite.rig();
    const { socket } = await bound(r);
    const peer = await DatagramPeer.bind();
    const pieces = r.gather('x');
    const events = Array.from({ length: MAX_DATAGRAM_SENDS }, () => r.event());
    for (const event of events) r.port.sendTo(socket, event, pieces, peer.endpoint);
    expect(() => r.port.sendTo(socket, r.event(), pieces, peer.endpoint)).toThrow(AssertionError);
    await r.pump.until('all sends', () => events.every(({ pending }) => !pending));
    expect(await sent(r, socket, peer.endpoint, pieces)).toMatchObject({ error: null });
  });

  suite.rule('send() is for connections, and sendTo() for datagram sockets', async () => {
    const r = suite.rig();
    const { socket, local } = await bound(r);
    const { server } = await r.pair();
    expect(() => r.send(socket, 'x')).toThrow(AssertionError);
    expect(() => r.port.sendTo(server, r.event(), r.gather('x'), local)).toThrow(AssertionError);
  });

  suite.rule('datagrams have the type of service asked for, at the start and later', async () => {
    const r = suite.rig();
    const socket = await r.port.bind(LOOPBACK, { tos: 0xb8 });
    const peer = await r.port.bind(LOOPBACK, { remote: socket.localEndpoint(), tos: 0x28 });
    const of = ({ handle }: PortSocket) => tosOf(handle, 4);
    expect([socket, peer].map(of)).toEqual([0xb8, 0x28]);
    socket.setOption('tos', 0x49);
    expect(of(socket)).toBe(0x49);
  });

  suite.rule('a datagram socket has its own options: ENOTSUP for the others', async () => {
    const r = suite.rig();
    const { socket } = await bound(r);
    socket.setOption('broadcast', true);
    expect(() => socket.setOption('noDelay', true)).toThrow(/^Cannot set noDelay: .+ENOTSUP/);
    const { server } = await r.pair();
    expect(() => server.setOption('broadcast', true)).toThrow(/^Cannot set broadcast: .+ENOTSUP/);
  });

  suite.rule('a type of service is refused where datagrams cannot have it: ENOTSUP', async () => {
    const r = suite.rig();
    await expect(r.port.bind(LOOPBACK, { tos: 8 })).rejects.toMatchObject({ code: 'ENOTSUP', name: 'IocpError' });
    const socket = await r.port.bind(LOOPBACK);
    expect(() => socket.setOption('tos', 8)).toThrow(/^Cannot set tos: .+ENOTSUP/);
  });

  suite.rule('a datagram socket neither accepts, sends files, nor shuts down', async () => {
    const r = suite.rig();
    const { port } = r;
    const { socket } = await bound(r);
    const { inFlight } = port.stats;
    expect(() => port.accept(socket, r.event())).toThrow(AssertionError);
    expect(() => port.sendFile(socket, r.event(), 0, 0, 1)).toThrow(AssertionError);
    expect(() => port.shutdown(socket)).toThrow(AssertionError);
    expect(port.stats.inFlight).toBe(inFlight);
    expect(r.events.all.filter(({ pending }) => pending).length).toBe(inFlight);
  });

  suite.rule('datagrams that came while no stream ran are not lost', async () => {
    const r = suite.rig();
    const socket = await r.port.bind(LOOPBACK);
    const peer = await DatagramPeer.bind();
    await peer.send('early', socket.localEndpoint());
    const first = r.receive(socket);
    expect(String((await r.pump.next('Receive', first)).data)).toBe('early');
    r.port.cancel(socket, first);
    expect(await r.pump.next('Receive', first)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    expect(first.pending).toBe(false);
    await peer.send('between', socket.localEndpoint());
    expect(String((await r.pump.next('Receive', r.receive(socket))).data)).toBe('between');
  });

  suite.rule('a datagram stream waits for a buffer', async () => {
    const r = suite.rig({ receiveBuffers: { count: 2, size: 256 } });
    r.pump.holding = true;
    const { stream, local } = await bound(r);
    const peer = await DatagramPeer.bind();
    for (const text of ['1', '2', '3', '4', '5']) await peer.send(text, local);
    await r.pump.until('two packets', () => r.pump.packets.length === 2);
    await r.pump.turns(20);
    expect(r.port.stats).toMatchObject({ buffersOut: 2, starved: expect.any(Number) });
    expect(r.port.stats.starved).toBeGreaterThan(0);
    expect(r.pump.packets.length).toBe(2);
    for (const text of ['1', '2', '3', '4', '5']) {
      const { data, buffer } = await r.pump.next('Receive', stream);
      expect(String(data)).toBe(text);
      r.port.release(buffer);
    }
  });

  suite.rule('a datagram stream that waits for a buffer can be canceled and closed', async () => {
    const r = suite.rig({ receiveBuffers: { count: 1, size: 256 } });
    r.pump.holding = true;
    const { socket, stream, local } = await bound(r);
    const peer = await DatagramPeer.bind();
    for (const text of ['1', '2', '3']) await peer.send(text, local);
    const held = await r.pump.next('Receive', stream);
    await r.pump.turns(20);
    r.port.cancel(socket, stream);
    expect(await r.pump.next('Receive', stream)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    const second = r.receive(socket);
    await r.pump.turns(20);
    await r.close(socket);
    expect(r.pump.take('Receive', second)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    r.port.release(held.buffer);
  });

  suite.rule('a canceled datagram stream leaves the next buffer to others', async () => {
    const r = suite.rig({ receiveBuffers: { count: 1, size: 256 } });
    r.pump.holding = true;
    const peer = await DatagramPeer.bind();
    const holder = await bound(r);
    await peer.send('held', holder.local);
    const held = await r.pump.next('Receive', holder.stream);
    const others = [await bound(r), await bound(r)] as const;
    for (const { local } of others) await peer.send('waits', local);
    while (r.port.stats.starved < 2) await r.pump.turns(1);
    for (const { socket, stream } of [holder, others[0]]) {
      r.port.cancel(socket, stream);
      expect((await r.endOf(stream)).error?.code).toBe('ECANCELED');
    }
    r.port.release(held.buffer);
    const { data, buffer } = await r.pump.next('Receive', others[1].stream);
    expect(String(data)).toBe('waits');
    r.port.release(buffer);
  });

  suite.rule('a datagram socket closes with operations in flight: each gives its packet, then Close', async () => {
    const r = suite.rig();
    const { socket, stream } = await bound(r);
    const peer = await DatagramPeer.bind();
    const sends = Array.from({ length: 10 }, () => r.event());
    for (const event of sends) r.port.sendTo(socket, event, r.gather('x'), peer.endpoint);
    await r.close(socket);
    expect(r.pump.take('Receive', stream)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    for (const event of sends) {
      const { error } = r.pump.take('Send', event)!;
      expect([undefined, 'ECANCELED']).toContain(error?.code);
    }
    expect(r.pump.left).toEqual([]);
    expect(() => socket.localEndpoint()).toThrow(/^Cannot /);
  });

  suite.rule('the address of a datagram socket is free again when its thread was terminated', async () => {
    const r = suite.rig();
    const peer = await DatagramPeer.bind();
    const ledger = createLedger();
    const worker = new Worker(new URL('../support/datagram-owner.js', import.meta.url), {
      workerData: { library, backend: r.port.backend, ledger },
    });
    const [local] = (await once(worker, 'message')) as [Endpoint];
    await peer.send('hello', local);
    expect(await peer.text()).toBe('echo');
    await worker.terminate();
    reap(ledger);
    // The kernel may take a moment to let go of it.
    let socket: PortSocket | undefined;
    while (socket === undefined) {
      socket = await r.port.bind(local).catch((error) => {
        expect(error.code).toBe('EADDRINUSE');
        return undefined;
      });
      await r.pump.turns(1);
    }
    const stream = r.receive(socket);
    await peer.send('hello again', local);
    expect(String((await r.pump.next('Receive', stream)).data)).toBe('hello again');
  });

  suite.rule('destroy takes datagram sockets along, whatever is in flight', async () => {
    const r = suite.rig();
    const { socket, stream, local } = await bound(r);
    const peer = await DatagramPeer.bind();
    await peer.send('never dequeued', local);
    const sending = r.event();
    r.port.sendTo(socket, sending, r.gather('x'), peer.endpoint);
    r.pump.stop();
    r.port.destroy();
    expect([stream.pending, sending.pending]).toEqual([false, false]);
  });
}

export interface Bound {
  readonly socket: PortSocket;
  readonly stream: TestEvent;
  readonly local: Endpoint;
}

/** A datagram socket that receives. */
export async function bound(r: Rig, ...args: Partial<Parameters<Rig['port']['bind']>>): Promise<Bound> {
  const [local = LOOPBACK, options] = args;
  const socket = await r.port.bind(local, options);
  return { socket, stream: r.receive(socket), local: socket.localEndpoint() };
}

/** Sends a datagram and waits for the packet. */
export function sent(r: Rig, socket: PortSocket, to: Endpoint | null, pieces: GatherList): Promise<Packet> {
  const event = r.event();
  r.port.sendTo(socket, event, pieces, to);
  return r.pump.next('Send', event);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
