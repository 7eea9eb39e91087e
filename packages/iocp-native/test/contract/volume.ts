// Rules that only show under load: much data both ways, and many connections that come and go.

import { readdirSync, readlinkSync } from 'node:fs';
import { expect } from 'vitest';
import { GatherList, MAX_GATHER, type PortSocket } from '../../src/contract/port.js';
import type { NativeBlock } from '../../src/native/memory.js';
import type { TestEvent } from '../support/event.js';
import { fillPattern, PatternCheck, PERIOD, patternOf } from '../support/pattern.js';
import type { Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';

const TOTAL = 64 << 20;
const PIECE = 32 << 10;

export function volume(suite: Suite): void {
  suite.rule(
    '64 MiB in both directions at once arrive byte by byte',
    async () => {
      const r = suite.rig();
      const { server, client } = await r.pair();
      const block = r.port.allocate(PERIOD + MAX_GATHER * PIECE);
      fillPattern(block);
      const checks = [server, client].map((socket) => checkStream(r, socket));
      await Promise.all([server, client].map((socket) => sendPattern(r, socket, block)));
      await r.pump.until('all bytes', () => checks.every((check) => check.position === TOTAL));
      for (const socket of [server, client]) await r.close(socket);
      expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0, buffersOut: 0 });
    },
    180_000,
  );

  suite.rule(
    '16 MiB to and from another implementation',
    async () => {
      const r = suite.rig();
      const { socket, peer } = await r.served();
      const check = checkStream(r, socket);
      const bytes = patternOf(16 << 20);
      const writing = peer.write(bytes);
      for (let at = 0; at < bytes.length; at += 1 << 20) await r.sent(socket, bytes.subarray(at, at + (1 << 20)));
      const back = await peer.read(bytes.length);
      expect(back.equals(bytes)).toBe(true);
      await writing;
      await r.pump.until('all bytes', () => check.position === bytes.length);
    },
    120_000,
  );

  suite.rule(
    '1,000 connections come and go, and nothing remains',
    async () => {
      const r = suite.rig();
      const listener = await r.listen();
      await visit(r, listener);
      const before = { ...r.port.stats };
      const sockets = openSockets();
      const [groups, size] = [20, 50];
      for (let i = 0; i < groups; i++) await Promise.all(Array.from({ length: size }, () => visit(r, listener)));
      const { inFlight, buffersOut, dropped } = r.port.stats;
      expect({ inFlight, buffersOut, dropped }).toEqual({ inFlight: 0, buffersOut: 0, dropped: 0 });
      expect(r.port.stats.sockets).toBe(before.sockets);
      expect(r.events.all.some(({ pending }) => pending)).toBe(false);
      expect(r.pump.left).toEqual([]);
      expect(openSockets()).toBeLessThanOrEqual(sockets);
    },
    180_000,
  );
}

/** A connection with both ends here: a word each way, then one end closes and the other sees it. */
async function visit(r: Rig, listener: PortSocket): Promise<void> {
  const accepting = r.accept(listener);
  const connecting = r.event();
  const client = r.port.connect(connecting, listener.localEndpoint(), undefined);
  expect((await r.pump.next('Connect', connecting)).error).toBeNull();
  const server = (await r.pump.next('Accept', accepting)).socket!;
  // This server need not be the other end of this client: connections are accepted in any order.
  const streams = [server, client].map((socket) => r.receive(socket));
  await Promise.all([server, client].map((socket) => r.sent(socket, 'hello')));
  for (const stream of streams) expect(String(await r.read(stream, 5))).toBe('hello');
  r.port.shutdown(client);
  await r.pump.next('Shutdown', client);
  expect((await r.endOf(streams[0]!)).error).toBeNull();
  await r.close(server);
  expect((await r.endOf(streams[1]!)).error).toBeNull();
  await r.close(client);
}

function checkStream(r: Rig, socket: PortSocket): PatternCheck {
  const check = new PatternCheck();
  const event = r.event();
  r.pump.tap(event, ({ data }) => data && check.next(data));
  r.port.receive(socket, event);
  return check;
}

async function sendPattern(r: Rig, socket: PortSocket, block: NativeBlock): Promise<void> {
  const list = new GatherList();
  const event: TestEvent = r.event();
  for (let at = 0; at < TOTAL; at += list.bytes) {
    list.clear();
    for (let i = 0; i < MAX_GATHER; i++) list.add(block, (at % PERIOD) + i * PIECE, PIECE);
    r.port.send(socket, event.renew(), list);
    expect(await r.pump.next('Send', event)).toMatchObject({ bytes: MAX_GATHER * PIECE, error: null });
  }
}

/** Descriptors of this process that are sockets, where the system tells. */
function openSockets(): number {
  if (process.platform !== 'linux') return 0;
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}
