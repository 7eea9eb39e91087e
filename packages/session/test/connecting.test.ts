// What connect() promises for names with several addresses, for its timeout and for its signal; and that whatever is given
// up leaves nothing behind.

import net from 'node:net';
import { type BackendName, candidates, type Endpoint, endpoint } from '@overlapped/iocp-native';
import { IocpCore, onCompletion } from '@overlapped/net-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Connecting, interleave } from '../src/connecting.js';
import { Connector } from '../src/index.js';
import { listen, onEachBackend, withCore } from './support.js';

const HOLE = candidates().find(({ name, availability }) => availability.available && name === 'io_uring')?.name;

/** An address where connects wait for ever: its backlog is full, and nobody accepts. Linux then drops what knocks. */
async function blackHole(): Promise<Endpoint> {
  const core = new IocpCore({ backend: HOLE as BackendName, maxSessions: 10 });
  const socket = await core.port.listen(endpoint('127.0.0.1', 0), { backlog: 0 });
  const local = socket.localEndpoint();
  const fillers = Array.from({ length: 4 }, () => net.connect({ host: local.address, port: local.port }));
  for (const filler of fillers) filler.on('error', () => {});
  onTestFinished(async () => {
    for (const filler of fillers) filler.destroy();
    core.port.close(socket);
    await core.stop();
  });
  // The first that waits says that the backlog is full.
  await new Promise<void>((resolve) => fillers[0]!.once('connect', () => resolve()));
  return local;
}

/** Races for the first of some addresses, and gives the port of the one that wins. */
async function race(core: IocpCore, remotes: Endpoint[], options = {}): Promise<number> {
  let over!: () => void;
  const ended = new Promise<void>((resolve) => (over = resolve));
  const connecting = new Connecting(core, 'some.name:80', {}, options, over);
  connecting.start(Promise.resolve(remotes));
  const socket = await connecting.socket.catch(async (error) => {
    await ended;
    throw error;
  });
  const { port } = socket.remoteEndpoint();
  socket.key = { [onCompletion]() {} };
  core.port.close(socket, true);
  core.places.dismiss();
  await ended;
  return port;
}

const of = (...texts: string[]) => texts.map((text) => endpoint(text, 80));

test('families take turns, from the preferred one', () => {
  const sixes = of('::1', '::2', '::3');
  const fours = of('1.1.1.1', '2.2.2.2');
  expect(interleave([...sixes, ...fours])).toEqual(of('::1', '1.1.1.1', '::2', '2.2.2.2', '::3'));
  expect(interleave([...fours, ...sixes])).toEqual(of('1.1.1.1', '::1', '2.2.2.2', '::2', '::3'));
  expect(interleave(fours)).toEqual(fours);
  expect(interleave([])).toEqual([]);
});

onEachBackend((backend) => {
  /** A port of this machine where nobody listens. */
  async function closedPort(core: IocpCore): Promise<Endpoint> {
    const listener = await listen(core, { session: {} });
    await listener.stop();
    return listener.endpoint;
  }

  describe('several addresses', () => {
    test('after one that refuses the next is tried at once', async () => {
      await withCore({ backend }, async (core) => {
        const refusing = await closedPort(core);
        const { endpoint } = await listen(core, { session: {} });
        expect(await race(core, [refusing, refusing, endpoint])).toBe(endpoint.port);
      });
    });

    test('when all refuse, the error has the first code, and every error as its cause', async () => {
      await withCore({ backend }, async (core) => {
        const refusing = await closedPort(core);
        const failure = race(core, [refusing, refusing]);
        await expect(failure).rejects.toMatchObject({
          code: 'ECONNREFUSED',
          message: expect.stringContaining('Cannot connect to some.name:80: none of 2 addresses'),
          cause: { errors: [{ code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }] },
        });
        expect(core.port.figures).toMatchObject({ sockets: 0, inFlight: 0 });
        expect(core.sessions).toBe(0);
      });
    });

    // Needs a backlog that Linux lets run full.
    test.runIf(HOLE)('one that does not answer holds the others up for 250 ms only, and is closed', async () => {
      await withCore({ backend }, async (core) => {
        const hole = await blackHole();
        const listener = await listen(core, { session: {} });
        const before = core.port.figures.sockets;
        expect(await race(core, [hole, hole, listener.endpoint])).toBe(listener.endpoint.port);
        await listener.stop();
        expect(before).toBe(1);
        expect(core.port.figures).toMatchObject({ sockets: 0, inFlight: 0 });
        expect(core.timers.size).toBe(0);
      });
    });

    test('a name is resolved, and its second address tried when the first refuses', async () => {
      await withCore({ backend }, async (core) => {
        // It listens on one of the two addresses that the name may have.
        const listener = await listen(core, { session: {} });
        const connector = new Connector(core, { session: {} });
        const session = await connector.connect({ host: 'localhost', port: listener.endpoint.port });
        expect(session.remotePort).toBe(listener.endpoint.port);
      });
    });

    test('a core that is full takes no connection, and tries no further', async () => {
      await withCore({ backend, maxSessions: 1 }, async (core) => {
        const raw = net.createServer().listen(0, '127.0.0.1');
        onTestFinished(() => void raw.close());
        await new Promise((resolve) => raw.once('listening', resolve));
        raw.on('connection', (socket) => socket.on('error', () => {}));
        const { port } = raw.address() as net.AddressInfo;
        const connector = new Connector(core, { session: {} });
        await connector.connect({ host: '127.0.0.1', port });
        await expect(connector.connect({ host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'ENOBUFS' });
        expect(core.port.figures.sockets).toBe(1);
      });
    });
  });

  // Needs a backlog that Linux lets run full.
  describe.runIf(HOLE)('giving up', () => {
    test('a timeout rejects with ETIMEDOUT, and leaves nothing', async () => {
      await withCore({ backend }, async (core) => {
        const { address: host, port } = await blackHole();
        const connector = new Connector(core, { session: {} });
        const connecting = connector.connect({ host, port }, { timeout: 30 });
        await expect(connecting).rejects.toMatchObject({ name: 'IocpError', code: 'ETIMEDOUT' });
        await expect(connecting).rejects.toThrow(`Cannot connect to ${host}:${port}: it took more than 30 ms`);
        expect(core.port.figures).toMatchObject({ sockets: 0, inFlight: 0 });
        expect(core.timers.size).toBe(0);
      });
    });

    test('a signal rejects with its reason, while it connects or resolves, and at once when it has been raised before', async () => {
      await withCore({ backend }, async (core) => {
        const hole = await blackHole();
        const connector = new Connector(core, { session: {} });
        const reason = { why: 'not an Error at all' };
        const abort = new AbortController();
        const options = { signal: abort.signal, timeout: 60_000 };
        const outcomes = [connector.connect({ host: hole.address, port: hole.port }, options)];
        while (core.port.figures.inFlight === 0) await new Promise((resolve) => setImmediate(resolve));
        outcomes.push(connector.connect({ host: 'localhost', port: hole.port }, options));
        abort.abort(reason);
        outcomes.push(connector.connect({ host: hole.address, port: hole.port }, options));
        expect(await Promise.allSettled(outcomes)).toEqual(outcomes.map(() => ({ status: 'rejected', reason })));
        expect(core.port.figures).toMatchObject({ sockets: 0, inFlight: 0 });
        expect(core.timers.size).toBe(0);
      });
    });

    test('stopping cancels what is connecting', async () => {
      await withCore({ backend }, async (core) => {
        const { address: host, port } = await blackHole();
        const connector = new Connector(core, { session: {} });
        const connecting = connector.connect({ host, port });
        const outcome = expect(connecting).rejects.toMatchObject({ code: 'ECANCELED' });
        await connector.stop();
        await outcome;
        expect(core.port.figures.sockets).toBe(0);
      });
    });
  });

  test('a signal that is raised after the connection does nothing to its session', async () => {
    await withCore({ backend }, async (core) => {
      const listener = await listen(core, { session: {} });
      const connector = new Connector(core, { session: {} });
      const abort = new AbortController();
      const options = { signal: abort.signal, timeout: 60_000 };
      const session = await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port }, options);
      expect(core.timers.size).toBe(0);
      abort.abort();
      expect(session.writable).toBe(true);
    });
  });

  test('a name that does not exist rejects with what the resolver says, and bad options are refused', async () => {
    await withCore({ backend }, async (core) => {
      const connector = new Connector(core, { session: {} });
      const connecting = connector.connect({ host: 'no-such-host.invalid', port: 80 });
      await expect(connecting).rejects.toMatchObject({ syscall: 'getaddrinfo' });
      await expect(connector.connect({ host: '127.0.0.1', port: 70_000 })).rejects.toMatchObject({ code: 'EINVAL' });
      for (const timeout of [0, Number.NaN]) {
        await expect(connector.connect({ host: '127.0.0.1', port: 80 }, { timeout })).rejects.toThrow(RangeError);
      }
    });
  });
});
