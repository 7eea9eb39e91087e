// What connect() promises for names with several addresses, for its timeout and for its signal; and that whatever is given
// up leaves nothing behind.

import net from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type BackendName, candidates, type Endpoint, endpoint } from '@overlapped/iocp-native';
import { Core, onCompletion } from '@overlapped/net-core/internal';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Connecting, interleave } from '../src/connect/connecting.js';
import { Connector, Session } from '../src/index.js';
import { deferred, listen, onEachBackend, withCore } from './support.js';

const HOLE = candidates().find(({ name, availability }) => availability.available && name === 'io_uring')?.name;

/** An address where connects wait for ever: its backlog is full, and nobody accepts. Linux then drops what knocks. */
async function blackHole(): Promise<Endpoint> {
  const core = new Core({ backend: HOLE as BackendName, maxSessions: 10 });
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
async function race(core: Core, remotes: Endpoint[], options = {}): Promise<number> {
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
  core.quota.giveBack();
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
  async function closedPort(core: Core): Promise<Endpoint> {
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
        expect(core.port.stats).toMatchObject({ sockets: 0, inFlight: 0 });
        expect(core.sessions).toBe(0);
      });
    });

    // Needs a backlog that Linux lets run full.
    test.runIf(HOLE)('one that does not answer holds the others up for 250 ms only, and is closed', async () => {
      await withCore({ backend }, async (core) => {
        const hole = await blackHole();
        const listener = await listen(core, { session: {} });
        const before = core.port.stats.sockets;
        expect(await race(core, [hole, hole, listener.endpoint])).toBe(listener.endpoint.port);
        await listener.stop();
        expect(before).toBe(1);
        expect(core.port.stats).toMatchObject({ sockets: 0, inFlight: 0 });
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
        expect(core.port.stats.sockets).toBe(1);
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
        expect(core.port.stats).toMatchObject({ sockets: 0, inFlight: 0 });
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
        while (core.port.stats.inFlight === 0) await new Promise((resolve) => setImmediate(resolve));
        outcomes.push(connector.connect({ host: 'localhost', port: hole.port }, options));
        abort.abort(reason);
        outcomes.push(connector.connect({ host: hole.address, port: hole.port }, options));
        expect(await Promise.allSettled(outcomes)).toEqual(outcomes.map(() => ({ status: 'rejected', reason })));
        expect(core.port.stats).toMatchObject({ sockets: 0, inFlight: 0 });
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
        expect(core.port.stats.sockets).toBe(0);
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

  test('after core.stop() a connect rejects, with a connector of before and with a new one', async () => {
    const core = new Core({ backend, threads: 0 });
    const before = new Connector(core, { session: {} });
    await core.stop();
    for (const connector of [before, new Connector(core, { session: {} })]) {
      const connecting = connector.connect({ host: '127.0.0.1', port: 1 }, { timeout: 60_000 });
      await expect(connecting).rejects.toMatchObject({ name: 'IocpError', code: 'ECANCELED' });
    }
    expect(core.timers.size).toBe(0);
  });

  test('what the port throws at a connect rejects it, and leaves nothing', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const connect = vi.spyOn(core.port, 'connect').mockImplementation(() => {
        throw new Error('as planned');
      });
      const { out } = core.events;
      const connector = new Connector(core, { session: {} });
      await expect(connector.connect({ host: '127.0.0.1', port: 1 })).rejects.toThrow('as planned');
      expect(core.events.out).toBe(out);
      connect.mockRestore();
      const listener = await listen(core, { session: {} });
      (await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port })).end();
    });
  });

  test('many connects may share one signal', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      const listener = await listen(core, { session: {} });
      const target = { host: '127.0.0.1', port: listener.endpoint.port };
      const connector = new Connector(core, { session: {} });
      const { signal } = new AbortController();
      const adds = vi.spyOn(signal, 'addEventListener');
      const removes = vi.spyOn(signal, 'removeEventListener');
      await Promise.all(Array.from({ length: 20 }, () => connector.connect(target, { signal })));
      expect(adds).toHaveBeenCalledTimes(1);
      expect(removes).toHaveBeenCalledTimes(1);
    });
  });

  test('connect() gives the class of the connector, or what the call makes', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      class Upstream extends Session {
        readonly name: string;
        constructor(name = 'nobody') {
          super();
          this.name = name;
        }
      }
      const listener = await listen(core, { session: {} });
      const target = { host: '127.0.0.1', port: listener.endpoint.port };
      const connector = new Connector(core, { session: Upstream });
      const plain: Upstream = await connector.connect(target);
      const named = await connector.connect(target, { session: () => new Upstream('ann') });
      expect([plain.name, named.name]).toEqual(['nobody', 'ann']);
      expect(connector.sessions).toEqual(new Set([plain, named]));
      for (const session of [() => named, () => ({}) as Upstream]) {
        await expect(connector.connect(target, { session })).rejects.toThrow('must give a new Session each time');
      }
      await expect(connector.connect(target, { session: () => fail() })).rejects.toThrow('as planned');
    });
    function fail(): never {
      throw new Error('as planned');
    }
  });

  test('connectors whose connections are over are held by nothing', async () => {
    await withCore({ backend, threads: 0 }, async (core) => {
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      const listener = await listen(core, { session: {} });
      const target = { host: '127.0.0.1', port: listener.endpoint.port };
      const once = async () => {
        const over = deferred();
        const connector = new Connector(core, { session: { onDisconnected: () => over.resolve() } });
        (await connector.connect(target)).destroy();
        await over.promise;
        return new WeakRef(connector);
      };
      const refs: WeakRef<Connector>[] = [];
      for (let i = 0; i < 40; i++) refs.push(await once());
      // The last ones may still be in packets that are used again.
      let held = refs.length;
      for (let i = 0; i < 20 && held > 20; i++) {
        await new Promise((resolve) => setTimeout(resolve));
        collect();
        held = refs.filter((ref) => ref.deref() !== undefined).length;
      }
      expect(held).toBeLessThanOrEqual(20);
    });
  });

  test('core.stop() ends the sessions of a connector', async () => {
    const core = new Core({ backend, threads: 0 });
    const over = deferred<Error | undefined>();
    const listener = await listen(core, { session: {} });
    const connector = new Connector(core, { session: { onDisconnected: (_, error) => over.resolve(error) } });
    await connector.connect({ host: '127.0.0.1', port: listener.endpoint.port });
    await core.stop();
    expect(await over.promise).toBeUndefined();
    expect(core.sessions).toBe(0);
  });

  test('a name that does not exist rejects with what the resolver says, and bad options are refused', async () => {
    await withCore({ backend }, async (core) => {
      const connector = new Connector(core, { session: {} });
      const connecting = connector.connect({ host: 'no-such-host.invalid', port: 80 });
      await expect(connecting).rejects.toMatchObject({ syscall: 'getaddrinfo' });
      await expect(connector.connect({ host: '127.0.0.1', port: 70_000 })).rejects.toThrow(RangeError);
      for (const timeout of [0, Number.NaN]) {
        await expect(connector.connect({ host: '127.0.0.1', port: 80 }, { timeout })).rejects.toThrow(RangeError);
      }
    });
  });
});
