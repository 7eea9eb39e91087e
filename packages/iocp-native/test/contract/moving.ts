// Rules about connections that move between ports: detached accepts, adopt(), and listeners that share an address.

import { expect } from 'vitest';
import { closeHandle, remoteEndpointOf } from '../../src/backend.js';
import { isIocpError } from '../../src/contract/errors.js';
import type { PortSocket } from '../../src/contract/port.js';
import { LOOPBACK, type Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';
import { echoInThread } from '../support/threads.js';

export function moving(suite: Suite): void {
  suite.rule('a detached accept brings a handle, which the port of another owner adopts', async () => {
    const [acceptor, worker] = [suite.rig(), suite.rig()];
    const listener = await acceptor.listen({ detached: true, noDelay: false });
    listener.key = 'listener';
    const event = acceptor.accept(listener);
    const peer = acceptor.peer(listener.localEndpoint());
    await peer.write('early');
    const packet = await acceptor.pump.next('Accept', event);
    expect(packet).toMatchObject({ key: 'listener', error: null, data: null, buffer: -1 });
    expect(packet.socket).toBeNull();
    expect(acceptor.port.stats).toMatchObject({ sockets: 1, inFlight: 0 });
    const socket = worker.port.adopt(packet.handle);
    expect(socket).toMatchObject({ handle: packet.handle, key: undefined, pending: 0 });
    expect(worker.port.stats.sockets).toBe(1);
    expect(socket.localEndpoint()).toEqual(listener.localEndpoint());
    expect(socket.remoteEndpoint().port).toBe(peer.raw.localPort);
    const stream = worker.receive(socket);
    expect(String(await worker.read(stream, 5))).toBe('early');
    await acceptor.close(listener);
    acceptor.pump.stop();
    acceptor.port.destroy();
    await worker.sent(socket, 'late');
    expect(String(await peer.read(4))).toBe('late');
    await worker.close(socket);
    await peer.until('the end', () => peer.ended || peer.closed);
  });

  suite.rule('a port adopts what it accepted detached itself', async () => {
    const r = suite.rig();
    const { handles, peers } = await accepted(r, 2);
    for (const [i, handle] of handles.entries()) {
      const socket = r.port.adopt(handle);
      await r.sent(socket, 'mine');
      expect(String(await peers[i]!.read(4))).toBe('mine');
    }
  });

  suite.rule(
    'a detached connection that no accept waits for when the listener closes comes out as a handle',
    async () => {
      const r = suite.rig();
      const listener = await r.listen({ detached: true });
      const events = [r.accept(listener), r.accept(listener)];
      const peers = Array.from({ length: 6 }, () => r.peer(listener.localEndpoint()));
      for (const peer of peers) await peer.until('the connection', () => peer.connected);
      // A backend that takes more connections than accepts wait for has them by now.
      await r.pump.turns(5);
      r.port.close(listener);
      await r.pump.next('Close', listener);
      const sockets: PortSocket[] = [];
      for (let packet = r.pump.take('Accept'); packet; packet = r.pump.take('Accept')) {
        expect(packet.event === null || events.includes(packet.event as never)).toBe(true);
        expect(packet.socket).toBeNull();
        if (packet.error === null) sockets.push(r.port.adopt(packet.handle));
      }
      expect(sockets.length).toBeGreaterThanOrEqual(events.length);
      for (const socket of sockets) {
        const peer = peers.find(({ raw }) => raw.localPort === socket.remoteEndpoint().port)!;
        await r.sent(socket, 'kept');
        expect(String(await peer.read(4))).toBe('kept');
      }
    },
  );

  suite.rule('closeHandle ends a connection that nobody adopted', async () => {
    const r = suite.rig();
    const { handles, peers } = await accepted(r, 1);
    expect(remoteEndpointOf(r.port.backend, handles[0]!).port).toBe(peers[0]!.raw.localPort);
    closeHandle(r.port.backend, handles[0]!);
    await peers[0]!.until('the end', () => peers[0]!.ended);
    expect(caught(() => closeHandle(r.port.backend, handles[0]!))).toMatch(/^(EBADF|ENOTSOCK)$/);
    expect(caught(() => remoteEndpointOf(r.port.backend, handles[0]!))).toMatch(/^(EBADF|ENOTSOCK)$/);
  });

  suite.rule('what a port that is closed is to adopt is closed', async () => {
    const r = suite.rig();
    const other = suite.rig();
    const { handles, peers } = await accepted(r, 1);
    other.pump.stop();
    other.port.destroy();
    expect(caught(() => other.port.adopt(handles[0]!))).toBe('EBADF');
    await peers[0]!.until('the end', () => peers[0]!.ended);
  });

  suite.rule('destroy closes detached connections that nobody dequeued', async () => {
    const r = suite.rig();
    const listener = await r.listen({ detached: true });
    const first = r.accept(listener);
    const peers = Array.from({ length: 3 }, () => r.peer(listener.localEndpoint()));
    for (const peer of peers) await peer.until('the connection', () => peer.connected);
    r.port.close(r.port.adopt((await r.pump.next('Accept', first)).handle));
    // The others are here by now, and their packets are queued.
    await r.pump.turns(5);
    r.pump.stop();
    for (let i = 0; i < 2; i++) r.accept(listener);
    r.port.destroy();
    for (const peer of peers) await peer.until('the end', () => peer.ended || peer.closed);
  });

  suite.rule('a connection with data in flight moves to a thread, whose port echoes', async () => {
    const r = suite.rig();
    const thread = await echoInThread(r.port.backend);
    const listener = await r.listen({ detached: true });
    const peers = Array.from({ length: 8 }, () => r.peer(listener.localEndpoint()));
    const sent = Buffer.alloc(1 << 20, 'data in flight ');
    for (const peer of peers) void peer.write(sent);
    for (const peer of peers) {
      const packet = await r.pump.next('Accept', r.accept(listener));
      expect(packet.error).toBeNull();
      expect(thread.poster.post(packet.handle, 0)).toBe(true);
      peer.raw.end();
    }
    for (const peer of peers) {
      expect((await peer.read(sent.length)).equals(sent)).toBe(true);
      await peer.until('the end', () => peer.ended);
      expect(peer.error).toBeNull();
    }
    expect(r.port.stats).toMatchObject({ sockets: 1, buffersOut: 0 });
    await thread.stop();
  });

  suite.rule('listeners with reusePort share an address, and take every connection between them', async () => {
    const rigs = [suite.rig(), suite.rig(), suite.rig()];
    const first = await rigs[0]!.listen({ reusePort: true });
    const local = first.localEndpoint();
    const listeners = [first];
    for (const r of rigs.slice(1)) listeners.push(await r.port.listen(local, { reusePort: true }));
    await expect(rigs[0]!.port.listen(local)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const count = 60;
    for (const [i, r] of rigs.entries()) for (let n = 0; n < count; n++) r.accept(listeners[i]!);
    const peers = Array.from({ length: count }, () => rigs[0]!.peer(local));
    for (const peer of peers) await peer.until('the connection', () => peer.connected);
    const taken = () => rigs.map(({ pump }) => pump.packets.filter(({ socket }) => socket !== null).length);
    while (taken().reduce((sum, n) => sum + n) < count) await Promise.all(rigs.map(({ pump }) => pump.turns(1)));
    // Each port of a peer goes to one of the three by its hash: that one gets none of 60 is as good as impossible.
    for (const n of taken()) expect(n).toBeGreaterThan(0);
    for (const [i, r] of rigs.entries()) await r.close(listeners[i]!);
  });

  suite.rule('sharing an address rejects with ENOTSUP', async () => {
    const r = suite.rig();
    await expect(r.port.listen(LOOPBACK, { reusePort: true })).rejects.toMatchObject({ code: 'ENOTSUP' });
    expect(r.port.stats.sockets).toBe(0);
  });

  suite.rule('a port that is not native moves no connection: ENOTSUP', async () => {
    const r = suite.rig();
    await expect(r.port.listen(LOOPBACK, { detached: true })).rejects.toMatchObject({ code: 'ENOTSUP' });
    expect(caught(() => r.port.adopt(1))).toBe('ENOTSUP');
    expect(caught(() => closeHandle(r.port.backend, 1))).toBe('ENOTSUP');
    expect(caught(() => remoteEndpointOf(r.port.backend, 1))).toBe('ENOTSUP');
  });
}

/** Connections of a detached listener, each with its peer. */
async function accepted(r: Rig, count: number) {
  const listener = await r.listen({ detached: true });
  const handles: number[] = [];
  const peers = [];
  for (let i = 0; i < count; i++) {
    const event = r.accept(listener);
    const peer = r.peer(listener.localEndpoint());
    await peer.until('the connection', () => peer.connected);
    peers.push(peer);
    handles.push((await r.pump.next('Accept', event)).handle);
  }
  await r.close(listener);
  return { handles, peers };
}

function caught(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return isIocpError(error) ? error.code : String(error);
  }
}
