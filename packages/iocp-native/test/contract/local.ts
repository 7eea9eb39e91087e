// Rules about local sockets: Unix-domain sockets and named pipes.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { reap } from '../../src/backend.js';
import { isIocpError } from '../../src/contract/errors.js';
import type { PipeEndpoint, PortSocket } from '../../src/contract/port.js';
import { localPath } from '../support/local.js';
import { PatternCheck, patternOf } from '../support/pattern.js';
import type { Rig } from '../support/rig.js';
import type { Suite } from '../support/suite.js';
import { Owner } from '../support/threads.js';

export function local(suite: Suite): void {
  suite.rule('a path is listened and connected to as an address is', async () => {
    const r = suite.rig();
    const { server, client } = await pair(r);
    const [toServer, toClient] = [r.receive(server), r.receive(client)];
    await r.sent(client, 'question');
    expect(String(await r.read(toServer, 8))).toBe('question');
    await r.sent(server, 'ans', '', 'wer');
    expect(String(await r.read(toClient, 6))).toBe('answer');
    await r.close(client);
    expect(await r.endOf(toServer)).toMatchObject({ error: null, data: null });
    expect((await r.close(server)).error).toBeNull();
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
  });

  suite.rule('a local socket has no address, and takes no notice of the options of TCP', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const options = { noDelay: false, keepAlive: 10, tos: 8 };
    const listener = await r.listen(options, at);
    const { server, client } = await r.dial(listener, options, at);
    for (const socket of [listener, server, client]) {
      expect(() => socket.localEndpoint()).toThrow(/^Cannot /);
      expect(() => socket.remoteEndpoint()).toThrow(/^Cannot /);
    }
    for (const socket of [server, client]) {
      socket.setOption('noDelay', true);
      socket.setOption('keepAlive', 10);
      socket.setOption('keepAlive', 0);
      socket.setOption('tos', 8);
    }
  });

  suite.rule('16 MiB go each way over a path, in order', async () => {
    const r = suite.rig();
    const { server, client } = await pair(r);
    const length = 16 << 20;
    const ways = [server, client].map((socket) => {
      const check = new PatternCheck();
      const event = r.event();
      r.pump.tap(event, ({ data }) => data && check.next(data));
      r.port.receive(socket, event);
      return check;
    });
    const bytes = patternOf(length);
    const sends = [server, client].map((socket) => r.sent(socket, bytes.subarray(0, 5), bytes.subarray(5)));
    for (const sent of await Promise.all(sends)) expect(sent).toMatchObject({ error: null, bytes: length });
    await r.pump.until('all bytes', () => ways.every(({ position }) => position === length));
  });

  suite.rule('a client of node:net on a path', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const listener = await r.listen(undefined, at);
    const accepting = r.accept(listener);
    const peer = r.peer(at);
    const { socket, error } = await r.pump.next('Accept', accepting);
    expect(error).toBeNull();
    const stream = r.receive(socket!);
    await peer.write('ping');
    expect(String(await r.read(stream, 4))).toBe('ping');
    await r.sent(socket!, 'pong');
    expect(String(await peer.read(4))).toBe('pong');
    await r.sent(socket!, 'bye');
    await r.close(socket!);
    await peer.until('the end', () => peer.ended || peer.closed);
    expect(String(await peer.read(3))).toBe('bye');
  });

  suite.rule('a server of node:net on a path', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const server = await r.server(at);
    const event = r.event();
    const socket = r.port.connect(event, at, 'key');
    expect(await r.pump.next('Connect', event)).toMatchObject({ key: 'key', error: null });
    const peer = await server.next();
    const stream = r.receive(socket);
    await r.sent(socket, 'ping');
    expect(String(await peer.read(4))).toBe('ping');
    peer.raw.end('pong');
    expect(String(await r.read(stream, 4))).toBe('pong');
    expect((await r.endOf(stream)).error).toBeNull();
    await r.close(socket);
    peer.raw.destroy();
    await server.close();
  });

  suite.rule('what a local client wrote before it left is not lost, though it came before the accept', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const listener = await r.listen(undefined, at);
    const connecting = r.event();
    const client = r.port.connect(connecting, at, undefined);
    expect((await r.pump.next('Connect', connecting)).error).toBeNull();
    await r.sent(client, 'last words');
    await r.close(client);
    const accepting = r.accept(listener);
    const { socket, error } = await r.pump.next('Accept', accepting);
    expect(error).toBeNull();
    const stream = r.receive(socket!);
    expect(String(await r.read(stream, 10))).toBe('last words');
    expect((await r.endOf(stream)).error).toBeNull();
  });

  suite.rule('each of many clients of a path is accepted, though few accepts wait', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const listener = await r.listen(undefined, at);
    const accepts = [r.accept(listener), r.accept(listener)];
    const count = 20;
    const clients = Array.from({ length: count }, (_, i) => {
      const event = r.event();
      return { socket: r.port.connect(event, at, undefined), event, name: String(i).padStart(2) };
    });
    const seen: string[] = [];
    const serve = async (): Promise<void> => {
      const { socket, error } = await r.pump.next('Accept', accepts.shift());
      expect(error).toBeNull();
      accepts.push(r.accept(listener));
      seen.push(String(await r.read(r.receive(socket!), 2)));
    };
    const serving = (async () => {
      for (let i = 0; i < count; i++) await serve();
    })();
    for (const { socket, event, name } of clients) {
      expect((await r.pump.next('Connect', event)).error).toBeNull();
      await r.sent(socket, name);
    }
    await serving;
    expect(seen.sort()).toEqual(clients.map(({ name }) => name).sort());
    expect(r.port.stats.sockets).toBe(1 + 2 * count);
  });

  suite.rule('a reset ends a local connection, and cancels what is in flight', async () => {
    const r = suite.rig();
    const { server, client } = await pair(r);
    const stream = r.receive(server);
    const sending = r.send(server, Buffer.alloc(48 << 20));
    await r.pump.turns(5);
    expect(sending.pending).toBe(true);
    const other = r.receive(client);
    await r.close(server, true);
    expect(r.pump.take('Receive', stream)).toMatchObject({ data: null, error: { code: 'ECANCELED' } });
    expect(r.pump.take('Send', sending)?.error).not.toBeNull();
    const { error } = await r.endOf(other);
    expect([undefined, 'ECONNRESET']).toContain(error?.code);
    expect((await r.sent(client, 'x')).error?.code).toMatch(/^(EPIPE|ECONNRESET)$/);
  });

  suite.rule('a local connection whose peer does not read closes, and cancels its send', async () => {
    const r = suite.rig();
    const { server, client } = await pair(r);
    const sending = r.send(client, Buffer.alloc(48 << 20));
    await r.pump.turns(5);
    expect(sending.pending).toBe(true);
    await r.close(client);
    expect(r.pump.take('Send', sending)?.error).not.toBeNull();
    expect((await r.endOf(r.receive(server))).error?.code).toBeUndefined();
  });

  suite.rule('a half-closed local socket still receives', async () => {
    const r = suite.rig();
    const { server, client } = await pair(r);
    const [toServer, toClient] = [r.receive(server), r.receive(client)];
    r.port.shutdown(client);
    expect((await r.pump.next('Shutdown', client)).error).toBeNull();
    expect((await r.endOf(toServer)).error).toBeNull();
    await r.sent(server, 'still');
    expect(String(await r.read(toClient, 5))).toBe('still');
  });

  suite.rule('connecting to a path that is not there gives ENOENT, and the socket closes as any', async () => {
    const r = suite.rig();
    const event = r.event();
    const socket = r.port.connect(event, { path: localPath() }, 'key');
    const { error, key } = await r.pump.next('Connect', event);
    expect(key).toBe('key');
    expect(isIocpError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'ENOENT' });
    expect(error!.message).toMatch(/^Cannot connect to .+: .+ \(ENOENT, .+\)$/);
    expect((await r.close(socket)).error).toBeNull();
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
  });

  suite.rule('the file of a dead listener refuses clients, and is in the way of listeners', async () => {
    const r = suite.rig();
    const at = await staleFile();
    const event = r.event();
    r.port.connect(event, at, undefined);
    expect((await r.pump.next('Connect', event)).error?.code).toBe('ECONNREFUSED');
    expect(await rejection(r, at)).toMatchObject({ code: 'EADDRINUSE' });
    expect(existsSync(at.path)).toBe(true);
  });

  suite.rule('listening on a path in use rejects with EADDRINUSE, and leaves it alone', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const listener = await r.listen(undefined, at);
    expect(await rejection(r, at)).toMatchObject({ code: 'EADDRINUSE' });
    expect(r.port.stats.sockets).toBe(1);
    await r.dial(listener, undefined, at);
    expect(await rejection(r, at)).toMatchObject({ code: 'EADDRINUSE' });
  });

  suite.rule('a path that is too long is refused', async () => {
    const r = suite.rig();
    const at = { path: localPath().padEnd(300, 'x') };
    expect(await rejection(r, at)).toMatchObject({ code: expect.stringMatching(/^(ENAMETOOLONG|EINVAL)$/) });
    const event = r.event();
    const socket = r.port.connect(event, at, undefined);
    const { error } = await r.pump.next('Connect', event);
    expect(error?.code).toMatch(/^(ENAMETOOLONG|EINVAL)$/);
    await r.close(socket);
  });

  suite.rule('the path is free again when its listener has closed, and its file is gone', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    for (let i = 0; i < 3; i++) {
      const listener = await r.listen(undefined, at);
      const { server, client } = await r.dial(listener, undefined, at);
      const waiting = r.accept(listener);
      await r.close(listener);
      expect(r.pump.take('Accept', waiting)?.error?.code).toBe('ECANCELED');
      if (process.platform !== 'win32') expect(existsSync(at.path)).toBe(false);
      await r.close(server);
      await r.close(client);
    }
    expect(r.port.stats).toMatchObject({ inFlight: 0, sockets: 0 });
  });

  suite.rule('a listener leaves the file that another has put in the place of its own', async ({ skip }) => {
    if (process.platform === 'win32') skip('a pipe has no file');
    const r = suite.rig();
    const at = { path: localPath() };
    const old = await r.listen(undefined, at);
    unlinkSync(at.path);
    const successor = await r.listen(undefined, at);
    await r.close(old);
    expect(existsSync(at.path)).toBe(true);
    await r.dial(successor, undefined, at);
    await r.close(successor);
    expect(readdirSync(dirname(at.path))).toEqual([]);
  });

  suite.rule('a listener on a relative path removes its own file, wherever the process has gone', async ({ skip }) => {
    if (process.platform === 'win32') skip('a pipe has no file');
    const r = suite.rig();
    const [one, two] = [dirname(localPath()), dirname(localPath())];
    const home = process.cwd();
    // As long as makes the absolute path too long for a socket's address, the second time.
    for (const deep of ['', 'd'.repeat(120)]) {
      try {
        for (const folder of [one, two]) mkdirSync(join(folder, deep), { recursive: true });
        process.chdir(join(one, deep));
        const listener = await r.listen(undefined, { path: 'r.sock' });
        process.chdir(join(two, deep));
        writeFileSync('r.sock', 'not a socket');
        await r.close(listener);
      } finally {
        process.chdir(home);
      }
      expect(existsSync(join(one, deep, 'r.sock'))).toBe(false);
      expect(readFileSync(join(two, deep, 'r.sock'), 'utf8')).toBe('not a socket');
    }
  });

  suite.rule('a path has no zero byte', async () => {
    const r = suite.rig();
    for (const path of [`${localPath()}\0off`, '']) {
      expect(await rejection(r, { path })).toMatchObject({ code: 'EINVAL' });
      const event = r.event();
      const socket = r.port.connect(event, { path }, undefined);
      expect((await r.pump.next('Connect', event)).error?.code).toBe('EINVAL');
      await r.close(socket);
    }
  });

  suite.rule('an accept on a path can be canceled, and the listener stays good', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const listener = await r.listen(undefined, at);
    const event = r.accept(listener);
    r.port.cancel(listener, event);
    expect((await r.pump.next('Accept', event)).error?.code).toBe('ECANCELED');
    await r.dial(listener, undefined, at);
  });

  suite.rule('a connect to a path whose listener takes nobody can be canceled and closed', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const listener = await r.listen({ backlog: 1 }, at);
    const attempts = Array.from({ length: 6 }, () => {
      const event = r.event();
      return { event, socket: r.port.connect(event, at, undefined) };
    });
    await r.pump.turns(5);
    expect(attempts.some(({ event }) => event.pending)).toBe(true);
    for (const [i, { event, socket }] of attempts.entries()) {
      if (i % 2 === 0) r.port.cancel(socket, event);
      else r.port.close(socket);
    }
    for (const { event } of attempts) {
      expect([undefined, 'ECANCELED']).toContain((await r.pump.next('Connect', event)).error?.code);
    }
    await r.close(listener);
  });

  suite.rule('an abstract name works as a path does, without a file', async () => {
    const r = suite.rig();
    const at = { path: `\0overlapped-${process.pid}` };
    const listener = await r.listen(undefined, at);
    expect(await rejection(r, at)).toMatchObject({ code: 'EADDRINUSE' });
    const { server, client } = await r.dial(listener, undefined, at);
    await r.sent(client, 'abstract');
    expect(String(await r.read(r.receive(server), 8))).toBe('abstract');
  });

  suite.rule('node:net finds an abstract name, and is found by it, whatever bytes it has', async () => {
    for (const path of [`\0overlapped-net-${process.pid}`, `\0over\0lapped-${process.pid}`]) {
      const r = suite.rig();
      const listener = await r.listen(undefined, { path });
      const event = r.accept(listener);
      const peer = r.peer({ path });
      expect((await r.pump.next('Accept', event)).error).toBeNull();
      await peer.until('the connection', () => peer.connected);
      await r.close(listener);
      const server = await r.server({ path });
      const connecting = r.event();
      r.port.connect(connecting, { path }, undefined);
      expect((await r.pump.next('Connect', connecting)).error).toBeNull();
      (await server.next()).raw.destroy();
      await server.close();
    }
  });

  suite.rule('a detached accept on a path brings a handle, which a port adopts', async () => {
    const [acceptor, worker] = [suite.rig(), suite.rig()];
    const at = { path: localPath() };
    const listener = await acceptor.listen({ detached: true }, at);
    const event = acceptor.accept(listener);
    const peer = acceptor.peer(at);
    const packet = await acceptor.pump.next('Accept', event);
    const socket = worker.port.adopt(packet.handle);
    await worker.sent(socket, 'mine');
    expect(String(await peer.read(4))).toBe('mine');
  });

  suite.rule('a terminated thread that listened on a path leaves nobody there, and nothing open', async () => {
    const r = suite.rig();
    const at = { path: localPath() };
    const owner = (await Owner.open(r.port.backend, true, at.path)).start();
    const peers = Array.from({ length: 3 }, () => r.peer(at, false));
    for (const peer of peers) await peer.write('x');
    await owner.heard('received', peers.length);
    await owner.terminate();
    reap(owner.ledger, owner.token);
    for (const peer of peers) {
      peer.raw.resume();
      await peer.until('the end', () => peer.ended || peer.closed);
    }
    const event = r.event();
    r.port.connect(event, at, undefined);
    // The file is still there; a pipe is not.
    const code = process.platform === 'win32' ? 'ENOENT' : 'ECONNREFUSED';
    expect((await r.pump.next('Connect', event)).error?.code).toBe(code);
  });

  suite.rule('a path has one listener: reusePort rejects with ENOTSUP', async () => {
    const r = suite.rig();
    await expect(r.listen({ reusePort: true }, { path: localPath() })).rejects.toMatchObject({ code: 'ENOTSUP' });
  });
}

async function pair(r: Rig): Promise<{ server: PortSocket; client: PortSocket }> {
  const at = { path: localPath() };
  const listener = await r.listen(undefined, at);
  const ends = await r.dial(listener, undefined, at);
  await r.close(listener);
  return ends;
}

/** What a listener leaves that did not close: its file is moved away before it does, and back afterwards. */
async function staleFile(): Promise<PipeEndpoint> {
  const at = { path: localPath() };
  const server = createServer().listen(at);
  await new Promise((resolve) => server.once('listening', resolve));
  renameSync(at.path, `${at.path}.kept`);
  await new Promise((resolve) => server.close(resolve));
  renameSync(`${at.path}.kept`, at.path);
  return at;
}

async function rejection(r: Rig, at: PipeEndpoint): Promise<unknown> {
  const error = await r.port.listen(at).then(
    () => null,
    (reason) => reason,
  );
  expect(isIocpError(error)).toBe(true);
  expect(error.message).toMatch(/^Cannot listen on .+: .+/);
  return error;
}
