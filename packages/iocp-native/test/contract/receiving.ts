// Rules about receive streams and their buffers.

import { expect } from 'vitest';
import { GatherList } from '../../src/contract/port.js';
import { PatternCheck, patternOf } from '../support/pattern.js';
import type { Suite } from '../support/suite.js';

const SMALL = { receiveBuffers: { count: 4, size: 256 } };

export function receiving(suite: Suite): void {
  suite.rule('a stream brings the bytes in order, then the end', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    const length = 1 << 20;
    peer.raw.end(patternOf(length));
    const check = new PatternCheck();
    for (;;) {
      const packet = await r.pump.next('Receive', stream);
      expect(packet.error).toBeNull();
      expect(packet.socket === socket).toBe(true);
      if (packet.data === null) {
        expect(packet).toMatchObject({ bytes: 0, buffer: -1 });
        break;
      }
      expect(packet.bytes).toBe(packet.data.length);
      expect(packet.bytes).toBeGreaterThan(0);
      check.next(packet.data);
    }
    expect(check.position).toBe(length);
    expect(stream.pending).toBe(false);
    expect(r.port.stats.buffersOut).toBe(0);
  });

  suite.rule('data is never larger than a receive buffer, and lies in it', async () => {
    const r = suite.rig(SMALL);
    const { socket, peer } = await r.served();
    const event = r.event();
    const check = new PatternCheck();
    let largest = 0;
    r.pump.tap(event, ({ data, buffer, error }) => {
      expect(error).toBeNull();
      expect(r.port.bufferOf(data!)).toBe(buffer);
      // Not a byte of another buffer is within reach.
      expect(data!.buffer.byteLength).toBe(256);
      expect(r.port.placeOf(data!)).toBeGreaterThanOrEqual(0);
      largest = Math.max(largest, data!.length);
      check.next(Buffer.from(data!));
    });
    r.port.receive(socket, event);
    await peer.write(patternOf(10_000));
    await r.pump.until('all bytes', () => check.position === 10_000);
    expect(largest).toBeLessThanOrEqual(256);
    expect(r.port.bufferOf(Buffer.alloc(4))).toBe(-1);
    expect(r.port.placeOf(Buffer.alloc(4))).toBe(-1);
  });

  suite.rule(
    'bytes may come in memory of their own where the owner wishes that, and none is lost or changes',
    async () => {
      const r = suite.rig();
      const { socket, peer } = await r.served();
      socket.ownMemory = true;
      const length = 1 << 20;
      const all = patternOf(length + 200 + 100_000);
      const check = new PatternCheck();
      const own: Buffer[] = [];
      let event = r.event();
      let restarts = 0;
      let closing = false;
      const receive = () => {
        event = r.event();
        r.pump.tap(event, ({ data, buffer, error }) => {
          if (data === null) {
            expect(error?.code).toBe('ECANCELED');
            if (closing) return;
            restarts++;
            receive();
            return;
          }
          check.next(data);
          if (buffer < 0) {
            expect(r.port.bufferOf(data)).toBe(-1);
            own.push(data);
          } else {
            expect(r.port.bufferOf(data)).toBe(buffer);
          }
          // In the middle of the stream, and of what a call has brought.
          if (check.position > length / 2 && restarts === 0) r.port.cancel(socket, event);
        });
        r.port.receive(socket, event);
      };
      receive();
      await peer.write(all.subarray(0, length));
      await r.pump.until('all bytes', () => check.position === length);
      for (let i = 0; i < 20; i++) {
        await peer.write(all.subarray(length + i * 10, length + (i + 1) * 10));
        await r.pump.until('few bytes', () => check.position === length + (i + 1) * 10);
      }
      const before = own.map((data) => Buffer.from(data));
      await peer.write(all.subarray(length + 200));
      await r.pump.until('many bytes', () => check.position === length + 200 + 100_000);
      expect(before.every((data, i) => data.equals(own[i]!))).toBe(true);
      expect(restarts).toBe(1);
      if (r.port.backend === 'epoll' || r.port.backend === 'io_uring') expect(own.length).toBeGreaterThan(0);
      closing = true;
      await r.close(socket);
      expect(r.port.stats.buffersOut).toBe(0);
    },
  );

  suite.rule('bytes that arrived before the stream started are not lost', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    await peer.write('early');
    await r.roundTrips(2);
    expect(String(await r.read(r.receive(socket), 5))).toBe('early');
  });

  suite.rule('a stream that is canceled can be started again, and no byte is lost', async () => {
    const r = suite.rig({ receiveBuffers: { count: 8, size: 2048 } });
    const { socket, peer } = await r.served();
    const length = 1 << 20;
    const writing = peer.write(patternOf(length));
    const check = new PatternCheck();
    let restarts = 0;
    while (check.position < length) {
      const event = r.event();
      let end = 'none';
      r.pump.tap(event, ({ data, error }) => {
        expect(end).toBe('none');
        if (data === null) end = error?.code ?? 'FIN';
        else check.next(data);
        r.port.cancel(socket, event);
      });
      r.port.receive(socket, event);
      await r.pump.until('the last packet', () => {
        // After each batch: it is in flight until its last packet has been dequeued, also after the cancel.
        expect(event.pending).toBe(end === 'none');
        return end !== 'none';
      });
      expect(end).toBe('ECANCELED');
      restarts++;
    }
    await writing;
    expect(check.position).toBe(length);
    expect(restarts).toBeGreaterThan(1);
  });

  suite.rule('canceling nothing does nothing', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const idle = r.event();
    r.port.cancel(socket, idle);
    const stream = r.receive(socket);
    r.port.cancel(socket, idle);
    await peer.write('x');
    expect(String(await r.read(stream, 1))).toBe('x');
    r.port.cancel(socket, stream);
    r.port.cancel(socket, stream);
    expect((await r.endOf(stream)).error?.code).toBe('ECANCELED');
    r.port.cancel(socket, stream);
    await r.roundTrips(1);
    expect(r.pump.left).toEqual([]);
  });

  suite.rule('a cancel that loses the race leaves the result of the operation', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const sending = r.send(socket, 'abc');
    r.port.cancel(socket, sending);
    const { error, bytes } = await r.pump.next('Send', sending);
    if (error) expect(error.code).toBe('ECANCELED');
    else expect(String(await peer.read(bytes))).toBe('abc');
    expect(r.pump.left).toEqual([]);
  });

  suite.rule('a pause holds the peer back', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const first = r.receive(socket);
    await peer.write('x');
    await r.read(first, 1);
    r.port.cancel(socket, first);
    expect((await r.endOf(first)).error?.code).toBe('ECANCELED');
    const length = 48 << 20;
    let written = false;
    const writing = peer.write(patternOf(length)).then(() => {
      written = true;
    });
    await r.roundTrips(50);
    // More than any kernel holds for us: it can only be written when somebody reads.
    expect(written).toBe(false);
    expect(r.port.stats.buffersOut).toBe(0);
    expect(r.pump.left).toEqual([]);
    const check = new PatternCheck();
    const second = r.event();
    r.pump.tap(second, (packet) => check.next(packet.data!));
    r.port.receive(socket, second);
    await r.pump.until('all bytes', () => check.position === length);
    await writing;
  });

  suite.rule('an idle stream holds no buffer', async () => {
    const r = suite.rig(SMALL);
    const connections = [];
    for (let i = 0; i < 12; i++) connections.push(await r.served());
    const streams = connections.map(({ socket }) => r.receive(socket));
    await r.roundTrips(2);
    expect(r.port.stats.buffersOut).toBe(0);
    // Three times as many streams as buffers, and each of them gets its bytes.
    for (const [i, { peer }] of connections.entries()) {
      await peer.write(`${i}`.padStart(2));
      expect(String(await r.read(streams[i]!, 2))).toBe(`${i}`.padStart(2));
    }
    expect(r.port.stats.buffersOut).toBe(0);
  });

  suite.rule('a stream waits for a buffer, and then loses no byte', async () => {
    const r = suite.rig({ receiveBuffers: { count: 2, size: 256 } });
    const { socket, peer } = await r.served();
    r.pump.holding = true;
    const stream = r.receive(socket);
    const length = 20_000;
    peer.raw.end(patternOf(length));
    const check = new PatternCheck();
    await r.pump.until('two packets', () => r.pump.packets.length === 2);
    // Nothing more comes out, whatever the port does meanwhile.
    await r.pump.turns(20);
    expect(r.port.stats.starved).toBeGreaterThan(0);
    expect(r.port.stats.buffersOut).toBe(2);
    expect(r.pump.packets.length).toBe(2);
    for (;;) {
      const { data, buffer, error } = await r.pump.next('Receive', stream);
      expect(error).toBeNull();
      if (data === null) break;
      check.next(data);
      r.port.release(buffer);
    }
    expect(check.position).toBe(length);
    expect(r.port.stats.buffersOut).toBe(0);
  });

  suite.rule('streams that wait for buffers all get their turn', async () => {
    const r = suite.rig({ receiveBuffers: { count: 2, size: 512 } });
    const length = 100_000;
    const checks: PatternCheck[] = [];
    for (let i = 0; i < 5; i++) {
      const { socket, peer } = await r.served();
      const check = new PatternCheck();
      const event = r.event();
      r.pump.tap(event, ({ data }) => data && check.next(data));
      r.port.receive(socket, event);
      checks.push(check);
      peer.raw.write(patternOf(length));
    }
    await r.pump.until('all bytes', () => checks.every((check) => check.position === length));
    expect(r.port.stats.buffersOut).toBe(0);
  });

  suite.rule('a stream that waits for a buffer can be canceled and closed', async () => {
    const r = suite.rig({ receiveBuffers: { count: 1, size: 64 } });
    r.pump.holding = true;
    const { socket, peer } = await r.served();
    await peer.write(patternOf(300));
    const first = r.receive(socket);
    const check = new PatternCheck();
    const held = await r.pump.next('Receive', first);
    check.next(held.data!);
    await r.pump.turns(20);
    r.port.cancel(socket, first);
    expect(await r.pump.next('Receive', first)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    r.port.release(held.buffer);
    const second = r.receive(socket);
    const held2 = await r.pump.next('Receive', second);
    check.next(held2.data!);
    await r.close(socket);
    expect(r.pump.take('Receive', second)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    expect(r.port.stats.buffersOut).toBe(1);
    r.port.release(held2.buffer);
    expect(r.port.stats.buffersOut).toBe(0);
  });

  suite.rule('a retained buffer keeps its bytes until the last release', async () => {
    const r = suite.rig({ receiveBuffers: { count: 2, size: 64 } });
    const { socket, peer } = await r.served();
    const event = r.event();
    let kept: Buffer | undefined;
    let buffer = -1;
    let seen = 0;
    r.pump.tap(event, (packet) => {
      seen += packet.bytes;
      if (kept) return;
      kept = packet.data!;
      buffer = packet.buffer;
      r.port.retain(buffer);
    });
    r.port.receive(socket, event);
    await peer.write('k'.repeat(64));
    await r.pump.until('the first', () => seen === 64);
    await peer.write('o'.repeat(6400));
    await r.pump.until('the others', () => seen === 6464);
    expect(r.port.stats.buffersOut).toBe(1);
    expect(String(kept)).toBe('k'.repeat(kept!.length));
    // Borrowed bytes can be sent from where they lie.
    const list = new GatherList();
    list.add(r.port.receiveBlock, r.port.placeOf(kept!), kept!.length);
    const sending = r.event();
    r.port.send(socket, sending, list);
    await r.pump.next('Send', sending);
    expect(String(await peer.read(kept!.length))).toBe('k'.repeat(kept!.length));
    r.port.release(buffer);
    expect(r.port.stats.buffersOut).toBe(0);
    expect(() => r.port.release(buffer)).toThrow(/not out/);
  });

  suite.rule('a reset by the peer ends the stream with ECONNRESET', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    await r.roundTrips(1);
    peer.raw.resetAndDestroy();
    const { error, data } = await r.pump.next('Receive', stream);
    expect(data).toBeNull();
    expect(error?.code).toBe('ECONNRESET');
    await r.close(socket);
  });

  suite.rule('after the end of the stream we may still send', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const stream = r.receive(socket);
    peer.raw.end('bye');
    expect(String(await r.read(stream, 3))).toBe('bye');
    expect(await r.pump.next('Receive', stream)).toMatchObject({ data: null, error: null });
    for (let i = 0; i < 10; i++) expect((await r.sent(socket, 'still here')).error).toBeNull();
    expect((await peer.read(100)).length).toBe(100);
    await r.close(socket);
    await peer.until('the end', () => peer.ended);
  });
}
