// Rules about sending files.

import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { PortSocket } from '../../src/contract/port.js';
import type { TestEvent } from '../support/event.js';
import { localPath } from '../support/local.js';
import { PatternCheck, patternOf } from '../support/pattern.js';
import type { Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';

export function files(suite: Suite): void {
  suite.rule('a file goes out whole, between other sends', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const length = (3 << 20) + 123;
    const file = fileOf(length);
    await r.sent(socket, 'head');
    expect(await sentFile(r, socket, file, 0, length)).toMatchObject({ error: null, bytes: length, data: null });
    await r.sent(socket, 'tail');
    expect(String(await peer.read(4))).toBe('head');
    expect((await peer.read(length)).equals(patternOf(length))).toBe(true);
    expect(String(await peer.read(4))).toBe('tail');
  });

  suite.rule('a part of a file is what it should be', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const file = fileOf(1 << 20);
    for (const [offset, length] of [
      [0, 1],
      [1, 1],
      [65_535, 2],
      [300_001, 500_000],
      [(1 << 20) - 1, 1],
    ] as const) {
      expect(await sentFile(r, socket, file, offset, length)).toMatchObject({ error: null, bytes: length });
      expect((await peer.read(length)).equals(patternOf(1 << 20).subarray(offset, offset + length))).toBe(true);
    }
  });

  suite.rule('a file that ends early gives ENODATA', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served();
    const file = fileOf(100_000);
    const { error, bytes } = await sentFile(r, socket, file, 40_000, 200_000);
    expect(error).toMatchObject({ code: 'ENODATA', name: 'IocpError' });
    expect(bytes).toBeLessThanOrEqual(60_000);
    expect((await peer.read(bytes)).equals(patternOf(100_000).subarray(40_000, 40_000 + bytes))).toBe(true);
    expect((await sentFile(r, socket, file, 200_000, 1)).error?.code).toBe('ENODATA');
    await r.sent(socket, 'x');
    expect(String(await peer.read(1))).toBe('x');
  });

  for (const ended of [false, true]) {
    const who = ended ? 'has ended and does not read' : 'does not read';
    suite.rule(`a peer that ${who} holds a file back, and loses nothing of it`, async () => {
      const r = suite.rig();
      const { socket, peer } = await r.served(false);
      if (ended) {
        peer.raw.end();
        await r.endOf(r.receive(socket));
      }
      const length = 24 << 20;
      const event = sendFile(r, socket, fileOf(length), 0, length);
      await r.roundTrips(20);
      expect(event.pending).toBe(true);
      peer.raw.resume();
      expect(await r.pump.next('Send', event)).toMatchObject({ error: null, bytes: length });
      expect((await peer.read(length)).equals(patternOf(length))).toBe(true);
    });
  }

  suite.rule('many peers that do not read hold nobody else back', async () => {
    const r = suite.rig();
    const length = 16 << 20;
    const file = fileOf(length);
    const slow = [];
    for (let i = 0; i < 8; i++) {
      const { socket, peer } = await r.served(false);
      slow.push({ peer, event: sendFile(r, socket, file, 0, length) });
    }
    await r.roundTrips(5);
    const { socket, peer } = await r.served();
    expect((await sentFile(r, socket, file, 0, length)).error).toBeNull();
    expect((await peer.read(length)).equals(patternOf(length))).toBe(true);
    for (const { peer, event } of slow) {
      peer.raw.resume();
      expect(await r.pump.next('Send', event)).toMatchObject({ error: null, bytes: length });
      expect((await peer.read(length)).equals(patternOf(length))).toBe(true);
    }
  });

  suite.rule('a send of a file ends with its socket, also by a reset', async () => {
    for (const reset of [false, true]) {
      const r = suite.rig();
      const { socket, peer } = await r.served(false);
      const stream = r.receive(socket);
      const event = sendFile(r, socket, fileOf(24 << 20), 0, 24 << 20);
      await r.pump.turns(5);
      expect(event.pending).toBe(true);
      await r.close(socket, reset);
      expect(r.pump.take('Send', event)?.error).not.toBeNull();
      expect(r.pump.take('Receive', stream)?.error?.code).toBe('ECANCELED');
      expect([event.pending, r.pump.left]).toEqual([false, []]);
      peer.raw.resume();
      await peer.until('the end', () => peer.ended || peer.closed);
    }
  });

  suite.rule('a socket may close at any moment of a file', async () => {
    const r = suite.rig();
    const file = fileOf(24 << 20);
    for (let turns = 0; turns < 12; turns++) {
      // What was not told to end would wait for this peer.
      const { socket } = await r.served(false);
      const event = sendFile(r, socket, file, 0, 24 << 20);
      await r.pump.turns(turns >> 1);
      if (turns % 2 === 0) r.port.cancel(socket, event);
      await r.close(socket);
      expect(r.pump.take('Send', event)).toBeDefined();
      expect(r.pump.left).toEqual([]);
    }
  });

  suite.rule('a send of a file can be canceled, and the socket stays good', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served(false);
    const event = sendFile(r, socket, fileOf(24 << 20), 0, 24 << 20);
    await r.roundTrips(5);
    r.port.cancel(socket, event);
    // Where a piece is with the system already, it goes first.
    peer.raw.resume();
    const { error, bytes } = await r.pump.next('Send', event);
    expect(error?.code).toBe('ECANCELED');
    expect((await peer.read(bytes)).equals(patternOf(24 << 20).subarray(0, bytes))).toBe(true);
  });

  suite.rule('a peer that leaves in the middle of a file fails it', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served(false);
    const event = sendFile(r, socket, fileOf(24 << 20), 0, 24 << 20);
    await r.roundTrips(1);
    peer.raw.resetAndDestroy();
    expect((await r.pump.next('Send', event)).error?.code).toMatch(/^(ECONNRESET|EPIPE|ECONNABORTED)$/);
    await r.close(socket);
  });

  suite.rule('a file that is cut while it goes out gives ENODATA', async () => {
    const r = suite.rig();
    const { socket, peer } = await r.served(false);
    const length = 24 << 20;
    const file = fileOf(length);
    const event = sendFile(r, socket, file, 0, length);
    await r.roundTrips(5);
    ftruncateSync(file, 1000);
    peer.raw.resume();
    const { error, bytes } = await r.pump.next('Send', event);
    expect(error?.code).toBe('ENODATA');
    expect(bytes).toBeLessThan(length);
  });

  suite.rule('a file goes over a local socket', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const listener = await r.listen(undefined, at);
    const { server, client } = await r.dial(listener, undefined, at);
    const length = 5_000_000;
    const check = new PatternCheck();
    const stream = r.event();
    r.pump.tap(stream, ({ data }) => data && check.next(data));
    r.port.receive(client, stream);
    expect(await sentFile(r, server, fileOf(length), 0, length)).toMatchObject({ error: null, bytes: length });
    await r.pump.until('all bytes', () => check.position === length);
  });
}

/** A file of the pattern, open until the test ends. */
function fileOf(length: number): number {
  const folder = mkdtempSync(join(tmpdir(), 'overlapped-'));
  const path = join(folder, 'file');
  writeFileSync(path, patternOf(length));
  const file = openSync(path, 'r+');
  onTestFinished(() => {
    // Nobody else has closed it.
    expect(fstatSync(file).isFile()).toBe(true);
    closeSync(file);
    rmSync(folder, { recursive: true });
  });
  return file;
}

function sendFile(r: Rig, socket: PortSocket, file: number, offset: number, length: number): TestEvent {
  const event = r.event();
  r.port.sendFile(socket, event, file, offset, length);
  return event;
}

function sentFile(r: Rig, socket: PortSocket, file: number, offset: number, length: number) {
  return r.pump.next('Send', sendFile(r, socket, file, offset, length));
}
