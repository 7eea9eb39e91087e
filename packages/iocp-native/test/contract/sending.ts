// Rules about sends and shutdown.

import { expect } from 'vitest';
import { GatherList, MAX_GATHER, type PortSocket } from '../../src/contract/port.js';
import { PatternCheck, patternOf } from '../support/pattern.js';
import type { Peer } from '../support/peer.js';
import type { Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';

export function sending(suite: Suite): void {
  suite.rule('a send gathers its pieces in order', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    for (const pieces of [1, 2, 3, MAX_GATHER - 1, MAX_GATHER]) {
      const texts = Array.from({ length: pieces }, (_, i) => `<${i}>`.repeat(i + 1));
      const whole = texts.join('');
      const packet = await r.sent(socket, ...texts);
      expect(packet).toMatchObject({ bytes: whole.length, error: null, data: null });
      expect(packet.socket === socket).toBe(true);
      expect(String(await peer.read(whole.length))).toBe(whole);
    }
  });

  suite.rule('a send of no pieces, and of no bytes, gives a packet', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    for (const pieces of [[], [''], ['', '']]) {
      expect(await r.sent(socket, ...pieces)).toMatchObject({ bytes: 0, error: null });
    }
    await r.sent(socket, 'good');
    expect(String(await peer.read(4))).toBe('good');
  });

  suite.rule('a gather list is free again once its send has started', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const event = r.event();
    const list = r.gather('one', 'two');
    r.port.send(socket, event, list);
    list.clear();
    list.add(r.port.allocate(64), 0, 64);
    expect((await r.pump.next('Send', event)).bytes).toBe(6);
    expect(String(await peer.read(6))).toBe('onetwo');
  });

  suite.rule('sends keep their order', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    let whole = '';
    for (let i = 0; i < 300; i++) {
      await r.sent(socket, `${i},`, `${i * i};`);
      whole += `${i},${i * i};`;
    }
    expect(String(await peer.read(whole.length))).toBe(whole);
  });

  for (const ended of [false, true]) {
    const who = ended ? 'a peer that has ended and does not read' : 'a peer that does not read';
    suite.rule(`a send to ${who} stays in flight, and then completes`, () => toSlowPeer(suite.rig(), ended));
  }

  suite.rule('a send to a peer that has ended and does not read ends with its socket, also by a reset', async () => {
    for (const reset of [false, true]) {
      const r = suite.rig();
      const { socket, peer } = await r.served(false);
      await end(r, socket, peer);
      const event = r.send(socket, Buffer.alloc(LARGE));
      await r.pump.turns(5);
      expect(event.pending).toBe(true);
      await r.close(socket, reset);
      expect(r.pump.take('Send', event)?.error).not.toBeNull();
      expect([event.pending, r.pump.left]).toEqual([false, []]);
      peer.raw.resume();
      await peer.until('the end', () => peer.ended || peer.closed);
    }
  });

  suite.rule('a send to a peer that has reset the connection fails', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    peer.raw.resetAndDestroy();
    await peer.until('the close', () => peer.closed);
    let error = null;
    for (let i = 0; i < 1000 && error === null; i++) error = (await r.sent(socket, 'anybody there?')).error;
    expect(['ECONNRESET', 'EPIPE', 'ECONNABORTED']).toContain(error?.code);
    await r.close(socket);
  });

  suite.rule('a direct send takes bytes at once: they may change or go when it has returned', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    for (const pieces of [[], ['<head>'], ['<', 'head', '>']]) {
      const array = new Uint8Array(patternOf(20_000)).subarray(3);
      const event = r.event();
      const taken = r.port.sendDirect(socket, event, r.gather(...pieces), [array]);
      array.fill(0);
      structuredClone(array.buffer, { transfer: [array.buffer] });
      expect([array.length, event.pending]).toEqual([0, true]);
      const head = pieces.join('');
      expect(await r.pump.next('Send', event)).toMatchObject({ bytes: head.length + taken, error: null });
      expect(taken).toBeGreaterThan(0);
      expect(String(await peer.read(head.length))).toBe(head);
      expect((await peer.read(taken)).equals(patternOf(20_000).subarray(3, 3 + taken))).toBe(true);
    }
  });

  suite.rule(
    'a direct send to a peer that does not read takes what there is room for, and completes when there is more',
    () => directToSlowPeer(suite.rig(), (whole, at) => [whole.subarray(at)]),
  );

  suite.rule('a direct send takes several arrays behind its pieces, in order', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const all = patternOf(90_000);
    for (const pieces of [[], ['<head>'], ['<', 'head', '>']]) {
      const arrays = [
        new Uint8Array(all.subarray(0, 30_000)),
        new Uint8Array(all).subarray(30_000, 30_001),
        all.subarray(30_001),
      ];
      const event = r.event();
      let taken = r.port.sendDirect(socket, event, r.gather(...pieces), arrays);
      const head = pieces.join('');
      expect(await r.pump.next('Send', event)).toMatchObject({ bytes: head.length + taken, error: null });
      expect(String(await peer.read(head.length))).toBe(head);
      expect((await peer.read(taken)).equals(all.subarray(0, taken))).toBe(true);
      while (taken < all.length) {
        const more = r.port.sendDirect(socket, event, r.gather(), [all.subarray(taken)]);
        await r.pump.next('Send', event);
        expect((await peer.read(more)).equals(all.subarray(taken, taken + more))).toBe(true);
        taken += more;
      }
    }
  });

  suite.rule('a direct send of several arrays to a peer that does not read stops in the middle of them', () =>
    directToSlowPeer(suite.rig(), (whole, at) => {
      const arrays: Uint8Array[] = [];
      for (let i = at; i < LARGE && arrays.length < 15; i += 70_001) arrays.push(whole.subarray(i, i + 70_001));
      return arrays;
    }),
  );

  suite.rule('a direct send refuses more than 16 pieces and arrays', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const event = r.event();
    const arrays = (count: number) => Array.from({ length: count }, () => Buffer.from('a'));
    for (const [pieces, count] of [
      [['p'], 16],
      [[], 17],
      [['p'], 0],
    ] as const) {
      expect(() => r.port.sendDirect(socket, event, r.gather(...pieces), arrays(count))).toThrow('sendDirect() of');
    }
    expect(event.pending).toBe(false);
    expect(r.port.sendDirect(socket, event, r.gather('p'), arrays(15))).toBe(15);
    await r.pump.next('Send', event);
    expect(String(await peer.read(16))).toBe(`p${'a'.repeat(15)}`);
    await r.close(socket);
  });

  suite.rule('a direct send whose pieces have to wait takes nothing else', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served(false);
    const block = r.port.allocate(LARGE);
    patternOf(LARGE).copy(block.bytes);
    const list = new GatherList();
    list.add(block, 0, LARGE / 2);
    list.add(block, LARGE / 2, LARGE / 2);
    const event = r.event();
    expect(r.port.sendDirect(socket, event, list, [Buffer.from('tail'), Buffer.from('of all')])).toBe(0);
    peer.raw.resume();
    new PatternCheck().next(await peer.read(LARGE));
    expect(await r.pump.next('Send', event)).toMatchObject({ bytes: LARGE, error: null });
    await r.sent(socket, 'next');
    expect(String(await peer.read(4))).toBe('next');
  });

  suite.rule('a direct send that waits ends with its socket, and with a reset', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served(false);
    const array = Buffer.alloc(1 << 20);
    let event = r.event();
    let taken = r.port.sendDirect(socket, event, r.gather(), [array]);
    while (!(await stays(r, event))) {
      await r.pump.next('Send', event);
      event = r.event();
      taken += r.port.sendDirect(socket, event, r.gather(), [array]);
    }
    await r.close(socket);
    expect(r.pump.take('Send', event)?.error?.code).toBe('ECANCELED');
    expect([event.pending, r.pump.left]).toEqual([false, []]);
    peer.raw.resume();
    // libuv may tell of a reset as an end. A connection that ends in order brings all that the kernel took.
    await peer.until('the end', () => peer.ended || peer.closed);
    expect(peer.ended && peer.received === taken).toBe(false);
  });

  suite.rule('a direct send to a peer that has reset the connection fails', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    peer.raw.resetAndDestroy();
    await peer.until('the close', () => peer.closed);
    let error = null;
    for (let i = 0; i < 1000 && error === null; i++) {
      const event = r.event();
      r.port.sendDirect(socket, event, r.gather(), [Buffer.alloc(100)]);
      error = (await r.pump.next('Send', event)).error;
    }
    expect(['ECONNRESET', 'EPIPE']).toContain(error?.code);
    await r.close(socket);
  });

  suite.rule(
    'a direct send without a packet takes what there is room for, and other sends go on behind it',
    async () => {
      const r = suite.rig();
      const { socket, peer } = await r.served(false);
      const array = patternOf(LARGE);
      let at = 0;
      const take = (end = LARGE) => {
        for (let taken = -1; taken !== 0 && at < end; at += taken)
          taken = r.port.sendNow(socket, array.subarray(at, end));
      };
      take(1000);
      expect(at).toBe(1000);
      // The peer's window opens for a while.
      do {
        take();
        await stays(r, r.event());
      } while (r.port.sendNow(socket, array.subarray(at, at + 1)) === 1 && ++at < LARGE);
      expect(at).toBeLessThan(LARGE);
      const event = r.event();
      const more = r.port.sendDirect(socket, event, r.gather(), [array.subarray(at)]);
      expect(() => r.port.sendNow(socket, array)).toThrow('a send is in flight');
      peer.raw.resume();
      const check = new PatternCheck();
      const reading = (async () => {
        while (check.position < LARGE) check.next(await peer.read(Math.min(65_536, LARGE - check.position)));
      })();
      await r.pump.next('Send', event);
      for (at += more; at < LARGE; ) {
        const next = r.event();
        at += r.port.sendDirect(socket, next, r.gather(), [array.subarray(at)]);
        await r.pump.next('Send', next);
      }
      await reading;
      expect(r.port.sendNow(socket, Buffer.from('last'))).toBe(4);
      expect(String(await peer.read(4))).toBe('last');
      await r.close(socket);
      expect(() => r.port.sendNow(socket, array)).toThrow();
    },
  );

  suite.rule('a direct send without a packet throws when the peer has reset the connection', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    peer.raw.resetAndDestroy();
    await peer.until('the close', () => peer.closed);
    const failing = async () => {
      for (let i = 0; i < 1000; i++) {
        r.port.sendNow(socket, Buffer.alloc(100));
        await stays(r, r.event());
      }
    };
    await expect(failing()).rejects.toMatchObject({
      code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/),
      syscall: 'send',
    });
    await r.close(socket);
  });

  suite.rule('a direct send reads no memory but that of its array', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const event = r.event();
    const gone = new Uint8Array(1000);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    for (const array of [gone, new Uint8Array(0)]) {
      expect(() => r.port.sendDirect(socket, event, r.gather(), [array])).toThrow('sendDirect() of nothing');
      expect(() => r.port.sendNow(socket, array)).toThrow('sendNow() of nothing');
    }
    expect(event.pending).toBe(false);
    class Liar extends Uint8Array {
      override get length(): number {
        return 1 << 30;
      }
      override get byteOffset(): number {
        return 0;
      }
    }
    const resizable = new (ArrayBuffer as new (length: number, options: object) => ArrayBuffer)(64, {
      maxByteLength: 4096,
    });
    const arrays = [
      new Liar(new TextEncoder().encode('..lies').buffer, 2),
      new Uint8Array(new SharedArrayBuffer(64), 8, 20).fill(97),
      new Uint8Array(resizable, 4).fill(98),
    ];
    for (const array of arrays) {
      const text = Buffer.from(Uint8Array.prototype.slice.call(new Uint8Array(array))).toString();
      expect(r.port.sendDirect(socket, event, r.gather(), [array])).toBe(text.length);
      await r.pump.next('Send', event);
      expect(r.port.sendNow(socket, array)).toBe(text.length);
      expect(String(await peer.read(2 * text.length))).toBe(text + text);
    }
    await r.close(socket);
  });

  suite.rule('shutdown sends FIN after what was sent, and the stream goes on', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    await r.sent(socket, 'last words');
    r.port.shutdown(socket);
    expect(await r.pump.next('Shutdown', socket)).toMatchObject({ event: null, error: null, data: null });
    await peer.until('the end', () => peer.ended);
    expect(String(await peer.read(10))).toBe('last words');
    await peer.write('heard');
    expect(String(await r.read(stream, 5))).toBe('heard');
    peer.raw.end();
    expect(await r.pump.next('Receive', stream)).toMatchObject({ data: null, error: null });
    await r.close(socket);
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
  });

  suite.rule('both ends shut down, and both streams end', async () => {
    const r = suite.rig();
    const { server, client } = await r.pair();
    const streams = [server, client].map((socket) => r.receive(socket));
    for (const socket of [server, client]) r.port.shutdown(socket);
    for (const socket of [server, client]) expect((await r.pump.next('Shutdown', socket)).error).toBeNull();
    for (const stream of streams) {
      expect(await r.pump.next('Receive', stream)).toMatchObject({ data: null, error: null });
    }
    for (const socket of [server, client]) expect((await r.close(socket)).error).toBeNull();
  });
}

/** More than any kernel buffers. */
const LARGE = 48 << 20;

async function toSlowPeer(r: Rig, ended: boolean): Promise<void> {
  const { socket, peer } = await r.served(false);
  if (ended) await end(r, socket, peer);
  const block = r.port.allocate(LARGE);
  patternOf(LARGE).copy(block.bytes);
  const list = new GatherList();
  for (let i = 0; i < 4; i++) list.add(block, i * (LARGE / 4), LARGE / 4);
  const event = r.event();
  r.port.send(socket, event, list);
  await r.roundTrips(50);
  expect(event.pending).toBe(true);
  expect(socket.pending).toBe(1);
  peer.raw.resume();
  const check = new PatternCheck();
  check.next(await peer.read(LARGE));
  expect(await r.pump.next('Send', event)).toMatchObject({ bytes: LARGE, error: null });
  expect(event.pending).toBe(false);
}

/** @param rest gives the arrays of the next send: the bytes of `whole` from `at` on */
async function directToSlowPeer(r: Rig, rest: (whole: Buffer, at: number) => Uint8Array[]): Promise<void> {
  const { socket, peer } = await r.served(false);
  const whole = patternOf(LARGE);
  let at = 0;
  let event = r.event();
  at += r.port.sendDirect(socket, event, r.gather(), rest(whole, at));
  while (!(await stays(r, event))) {
    await r.pump.next('Send', event);
    event = r.event();
    at += r.port.sendDirect(socket, event, r.gather(), rest(whole, at));
  }
  expect(at).toBeLessThan(LARGE);
  peer.raw.resume();
  await r.pump.next('Send', event);
  const check = new PatternCheck();
  const reading = (async () => {
    while (check.position < LARGE) check.next(await peer.read(Math.min(65_536, LARGE - check.position)));
  })();
  while (at < LARGE) {
    event = r.event();
    const taken = r.port.sendDirect(socket, event, r.gather(), rest(whole, at));
    at += taken;
    expect(await r.pump.next('Send', event)).toMatchObject({ bytes: taken, error: null });
  }
  await reading;
}

/** Whether a send stays in flight while others come and go. */
async function stays(r: Rig, event: { readonly pending: boolean }): Promise<boolean> {
  await r.roundTrips(50);
  return event.pending;
}

async function end(r: Rig, socket: PortSocket, peer: Peer): Promise<void> {
  const stream = r.receive(socket);
  peer.raw.end();
  expect(await r.endOf(stream)).toMatchObject({ data: null, error: null });
}
