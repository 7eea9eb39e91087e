// Rules about the two-phase close.

import { expect } from 'vitest';
import { Operation } from '../../src/contract/port.js';
import type { Suite } from '../support/suite.js';

export function closing(suite: Suite): void {
  suite.rule('close ends every operation in flight once, and its packet is the last', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served(false);
    socket.key = 'session';
    const receiving = r.receive(socket);
    const sending = r.send(socket, Buffer.alloc(48 << 20));
    await r.pump.turns(5);
    expect([receiving.pending, sending.pending, socket.pending]).toEqual([true, true, 2]);
    const { handle } = socket;
    r.port.close(socket);
    const packet = await r.pump.next('Close', socket);
    expect(packet).toMatchObject({ operation: Operation.Close, key: 'session', event: null, error: null, data: null });
    expect([receiving.pending, sending.pending, socket.pending]).toEqual([false, false, 0]);
    expect(r.pump.packets.length).toBe(2);
    expect(r.pump.take('Receive', receiving)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    // A part of it may have gone out, but not all.
    expect(r.pump.take('Send', sending)?.error).not.toBeNull();
    if (handle !== -1) expect(socket.handle).toBe(-1);
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
    await r.pump.turns(20);
    expect(r.pump.left).toEqual([]);
    peer.raw.resume();
    await peer.until('the end', () => peer.ended || peer.closed);
  });

  suite.rule('closing twice is harmless', async () => {
    const r = suite.rig();
    const { socket } = await r.served();
    r.port.close(socket);
    r.port.close(socket);
    await r.pump.next('Close', socket);
    r.port.close(socket, true);
    await r.pump.turns(20);
    expect(r.pump.left).toEqual([]);
    expect(r.port.stats.sockets).toBe(0);
  });

  suite.rule('what was sent before the close arrives', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    await r.sent(socket, 'good', 'bye');
    await r.close(socket);
    await peer.until('the end', () => peer.ended);
    expect(peer.error).toBeNull();
    expect(String(await peer.read(7))).toBe('goodbye');
  });

  suite.rule('close with reset: the peer sees ECONNRESET', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    await r.close(socket, true);
    expect(r.pump.take('Receive', stream)?.error?.code).toBe('ECANCELED');
    await peer.until('the reset', () => peer.closed);
    expect(peer.error?.code).toBe('ECONNRESET');
  });

  suite.rule('close with reset does not wait for a send in flight', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served(false);
    const length = 48 << 20;
    const sending = r.send(socket, Buffer.alloc(length));
    await r.pump.turns(5);
    await r.close(socket, true);
    expect(r.pump.take('Send', sending)?.error).not.toBeNull();
    peer.raw.resume();
    // After data that waited, libuv reports some resets as an end.
    await peer.until('the reset', () => peer.closed || peer.ended);
    expect(peer.received).toBeLessThan(length);
  });

  suite.rule('a close that cuts a send short is a reset', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served(false);
    const sending = r.send(socket, Buffer.alloc(48 << 20));
    await r.pump.turns(5);
    r.port.close(socket);
    await r.pump.next('Close', socket);
    expect(r.pump.take('Send', sending)?.error).not.toBeNull();
    await r.pump.turns(20);
    // Behind data that waits, libuv reports a reset as an end. But after an end the first write would succeed.
    peer.raw.write('x');
    await peer.until('the reset', () => peer.error !== null);
    expect(peer.error).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) });
  });

  suite.rule('what a close has cut short ends by ECONNRESET at a port that reads it later', async () => {
    const r = suite.rig();
    const { server, client } = await r.pair();
    const sending = r.send(server, Buffer.alloc(48 << 20));
    await r.pump.turns(5);
    await r.close(server);
    expect(r.pump.take('Send', sending)?.error).not.toBeNull();
    expect((await r.endOf(r.receive(client))).error).toMatchObject({ code: 'ECONNRESET' });
  });

  suite.rule('a close right after a send: the peer gets all of it and an end, or a reset', async () => {
    const r = suite.rig();
    for (const length of [1, 1 << 16]) {
      const { socket, peer } = await r.served();
      const sending = r.send(socket, Buffer.alloc(length));
      r.port.close(socket);
      await r.pump.next('Close', socket);
      const whole = r.pump.take('Send', sending)?.error === null;
      await peer.until('the end', () => peer.ended || peer.closed);
      expect([peer.ended, peer.error?.code]).toEqual(whole ? [true, undefined] : [false, 'ECONNRESET']);
      if (whole) expect(peer.received).toBe(length);
    }
  });

  suite.rule('a socket without operations closes too', async () => {
    const r = suite.rig();
    const { server, client } = await r.pair();
    expect((await r.close(server)).socket === server).toBe(true);
    expect((await r.close(client)).socket === client).toBe(true);
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
  });

  suite.rule('a socket closes while its shutdown is in flight', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    r.port.shutdown(socket);
    r.port.close(socket);
    await r.pump.next('Close', socket);
    expect(r.pump.take('Shutdown', socket)).toBeDefined();
    expect(r.pump.take('Receive', stream)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    expect(r.pump.left).toEqual([]);
    await peer.until('the end', () => peer.ended || peer.closed);
  });

  suite.rule('a connection that broke closes as any other', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    await r.roundTrips(1);
    peer.raw.resetAndDestroy();
    await r.endOf(stream);
    expect((await r.close(socket)).error).toBeNull();
    expect(() => socket.setOption('noDelay', true)).toThrow(/^Cannot /);
    expect(() => socket.localEndpoint()).toThrow(/^Cannot /);
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
  });
}
