// Rules about listeners and accepts.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import type { PortSocket } from '../../src/contract/port.js';
import { exhaustDescriptors } from '../support/descriptors.js';
import type { Packet } from '../support/pump.js';
import type { Suite } from '../support/suite.js';

export function accepting(suite: Suite): void {
  suite.rule('accepts outstanding take one connection each', async () => {
    const r = suite.rig();
    const { pump } = r;
    const listener = await r.listen();
    const events = Array.from({ length: 4 }, () => r.accept(listener));
    expect(listener.pending).toBe(4);
    const peers = events.map(() => r.peer(listener.localEndpoint()));
    const sockets = new Map<number, PortSocket>();
    for (const event of events) {
      const { socket, error } = await pump.next('Accept', event);
      expect(error).toBeNull();
      expect(event.pending).toBe(false);
      sockets.set(socket!.remoteEndpoint().port, socket!);
    }
    expect(listener.pending).toBe(0);
    // Each socket is the other end of its peer.
    for (const peer of peers) {
      await peer.until('the connection', () => peer.connected);
      await r.sent(sockets.get(peer.raw.localPort!)!, `to ${peer.raw.localPort}`);
      const text = `to ${peer.raw.localPort}`;
      expect(String(await peer.read(text.length))).toBe(text);
    }
  });

  suite.rule('connections wait for accepts', async () => {
    const r = suite.rig();
    const { pump } = r;
    const listener = await r.listen();
    const first = r.accept(listener);
    const peers = Array.from({ length: 20 }, () => r.peer(listener.localEndpoint()));
    for (const peer of peers) await peer.until('the connection', () => peer.connected);
    const ports = new Set<number>();
    for (let event = first; ; event = r.accept(listener)) {
      ports.add((await pump.next('Accept', event)).socket!.remoteEndpoint().port);
      if (ports.size === peers.length) break;
    }
    expect(ports).toEqual(new Set(peers.map((peer) => peer.raw.localPort)));
  });

  suite.rule('an accept that fails does not stop the listener', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const listener = await r.listen();
    const [kept, canceled] = [r.accept(listener), r.accept(listener)];
    port.cancel(listener, canceled);
    const { error, socket } = await pump.next('Accept', canceled);
    expect(error?.code).toBe('ECANCELED');
    expect(socket).toBeNull();
    // A connection that is reset before anyone looks at it.
    const brief = r.peer(listener.localEndpoint());
    await brief.until('the connection', () => brief.connected);
    brief.raw.resetAndDestroy();
    const late = r.accept(listener);
    const peer = r.peer(listener.localEndpoint());
    const results = [await pump.next('Accept', kept), await pump.next('Accept', late)];
    const good = results.find((p) => p.socket !== null && portOf(p.socket) === peer.raw.localPort);
    expect(good, 'the connection after the reset one').toBeDefined();
    await r.sent(good!.socket!, 'hello');
    expect(String(await peer.read(5))).toBe('hello');
  });

  suite.rule('accepts outstanding end with ECANCELED when the listener closes', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const listener = await r.listen();
    listener.key = 'listener';
    const endpoint = listener.localEndpoint();
    const events = Array.from({ length: 3 }, () => r.accept(listener));
    port.close(listener);
    const closed = await pump.next('Close', listener);
    expect(closed).toMatchObject({ key: 'listener', event: null, error: null });
    // They came before the Close packet, so they are here already, and nothing else is.
    for (const event of events) {
      expect(pump.take('Accept', event)).toMatchObject({ socket: null, error: { code: 'ECANCELED' } });
      expect(event.pending).toBe(false);
    }
    expect(pump.left).toEqual([]);
    expect(port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
    const peer = r.peer(endpoint);
    await peer.until('the refusal', () => peer.error !== null);
    expect(peer.error?.code).toBe('ECONNREFUSED');
  });

  suite.rule('no connection is lost when the listener closes', async () => {
    const r = suite.rig();
    const { port, pump } = r;
    const listener = await r.listen();
    const event = r.accept(listener);
    const peers = Array.from({ length: 8 }, () => r.peer(listener.localEndpoint()));
    for (const peer of peers) await peer.until('the connection', () => peer.connected);
    // A backend that takes more connections than accepts wait for has them by now.
    await pump.turns(5);
    port.close(listener);
    await pump.next('Close', listener);
    // Handed over: it came out before the Close packet, with the accept's event or with none. Else the peer is told.
    const accepted = new Map<number, Packet>();
    for (let packet = pump.take('Accept'); packet; packet = pump.take('Accept')) {
      expect(packet.event === event || packet.event === null).toBe(true);
      if (packet.socket) accepted.set(packet.socket.remoteEndpoint().port, packet);
    }
    expect(event.pending).toBe(false);
    expect(accepted.size).toBeGreaterThan(0);
    for (const peer of peers) {
      const packet = accepted.get(peer.raw.localPort!);
      if (packet) {
        await r.sent(packet.socket!, 'kept');
        expect(String(await peer.read(4))).toBe('kept');
      } else {
        await peer.until('the end of a connection that nobody has', () => peer.closed || peer.ended);
      }
    }
  });

  suite.rule('running out of descriptors fails accepts, not the listener', async ({ skip }) => {
    if (process.platform !== 'linux') skip('this needs setrlimit');
    const r = suite.rig();
    const listener = await r.listen();
    const { port } = listener.localEndpoint();
    const dialer = spawn(process.execPath, [fileURLToPath(new URL('../support/dialer.js', import.meta.url))]);
    onTestFinished(() => void dialer.kill());
    const lines = createInterface(dialer.stdout)[Symbol.asyncIterator]();
    const nextLine = async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error('the dialer has ended');
      return value;
    };
    await nextLine();
    const restore = exhaustDescriptors();
    try {
      r.accept(listener);
      dialer.stdin.write(`${port}\n`);
      // Either the accept fails, or the connection is turned away.
      const failed = r.pump.until('a packet', () => r.pump.packets.length > 0);
      const turnedAway = (async () => {
        for (let line = 'connected'; line !== 'closed'; line = await nextLine());
      })();
      await Promise.race([failed, turnedAway]);
    } finally {
      restore();
    }
    r.accept(listener);
    dialer.stdin.write(`${port}\n`);
    let socket: PortSocket | null = null;
    while (socket === null) {
      const packet = await r.pump.next('Accept');
      if (packet.error) expect(['EMFILE', 'ENFILE', 'ENOBUFS']).toContain(packet.error.code);
      socket = packet.socket;
    }
    expect((await r.sent(socket, 'welcome')).error).toBeNull();
  });

  suite.rule('a port number is free again when its listener has closed', async () => {
    const r = suite.rig();
    const listener = await r.listen();
    const local = listener.localEndpoint();
    await r.close(listener);
    const again = await r.port.listen(local);
    expect(again.localEndpoint()).toEqual(local);
  });

  for (const open of [true, false]) {
    const run = open ? 'whose peer has not ended' : 'that ran out just now';
    suite.rule(`a listener gets its port again after a connection ${run}, and which we ended first`, async () => {
      const r = suite.rig();
      const listener = await r.listen();
      const local = listener.localEndpoint();
      const event = r.accept(listener);
      const peer = r.peer(local);
      const socket = (await r.pump.next('Accept', event)).socket!;
      r.port.shutdown(socket);
      await peer.until('the end', () => peer.ended);
      if (!open) {
        peer.raw.end();
        await r.endOf(r.receive(socket));
      }
      await r.close(socket);
      await r.close(listener);
      const again = await r.listen({}, local);
      const accept = r.accept(again);
      r.peer(local);
      expect((await r.pump.next('Accept', accept)).error).toBeNull();
    });
  }
}

function portOf(socket: PortSocket): number {
  try {
    return socket.remoteEndpoint().port;
  } catch {
    return 0;
  }
}
