// What kernels may do differently, on the built packages: one line for each exercise.

import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { openPort } from '@overlapped/iocp-native';
import { JobPool } from '@overlapped/jobs';
import { IocpCore } from '@overlapped/net-core';
import { Connector, DatagramSession, Listener } from '@overlapped/session';

const HOST = '127.0.0.1';
const LIMIT = 300_000;
const module = new URL('echo-module.mjs', import.meta.url);
const echo = {
  onReceive(session, data) {
    if (!session.send(data)) session.pause();
  },
  onDrain: (session) => session.resume(),
};

let failed = 0;
async function exercise(name, run) {
  const started = performance.now();
  const say = (word, more = '') => {
    console.log(`${word} ${name}, Linux ${release()} (${Math.round(performance.now() - started)} ms)${more}`);
  };
  try {
    const late = sleep(LIMIT, null, { ref: false }).then(() => Promise.reject(new Error('it does not end')));
    await Promise.race([run(), late]);
    say('ok  ');
  } catch (error) {
    failed++;
    say('FAIL', `: ${error.stack}`);
  }
}

function expect(actual, wanted, what) {
  if (actual !== wanted) throw new Error(`${what}: ${actual}, not ${wanted}`);
}

async function withCore(options, use) {
  const core = new IocpCore({ backend: 'io_uring', ...options });
  try {
    await use(core, (service) => Listener.listen(core, { host: HOST, port: 0, ...service }));
  } finally {
    await core.stop(30_000);
  }
  const { inFlight, sockets, buffersOut } = core.port.stats;
  expect(inFlight + sockets + buffersOut, 0, 'what the port has left');
}

const dial = (target) => connect({ ...target, noDelay: true, allowHalfOpen: true }).on('error', () => {});
const closed = (socket) => new Promise((resolve) => socket.once('close', resolve));
const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Reads until the peer's end, and gives the hash. */
async function hashOf(socket) {
  const hash = createHash('sha256');
  socket.on('data', (data) => hash.update(data));
  await once(socket, 'end');
  socket.end();
  return hash.digest('hex');
}

async function echoes(target, connections, bytes, rounds) {
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = dial(target);
      const sent = randomBytes(bytes);
      const hash = hashOf(socket);
      for (let i = 0; i < rounds; i++) {
        socket.write(sent);
        for (let left = bytes; left > 0; ) left -= (await once(socket, 'data'))[0].length;
      }
      socket.end();
      expect(await hash, sha(Buffer.concat(Array(rounds).fill(sent))), 'what came back');
    }),
  );
}

const modes = {
  'a guest': [{}, { session: echo }],
  'a dedicated pump': [{ dedicated: true }, { session: echo }],
  '2 threads': [{ threads: 2 }, { module }],
  '2 threads with reusePort': [{ threads: 2 }, { module, reusePort: true }],
};
for (const [mode, [options, service]] of Object.entries(modes)) {
  await exercise(`echo by ${mode}`, () =>
    withCore(options, async (_, listen) => {
      const { endpoint } = await listen(service);
      await echoes({ host: HOST, port: endpoint.port }, 50, 64, 10);
      await echoes({ host: HOST, port: endpoint.port }, 4, 1 << 20, 1);
    }),
  );
}

await exercise('half-closes', () =>
  withCore({}, async (_, listen) => {
    const bytes = randomBytes(4 << 20);
    const { endpoint } = await listen({ session: { onConnected: (session) => void session.send(bytes) } });
    for (let i = 0; i < 2; i++) {
      const socket = dial({ host: HOST, port: endpoint.port }).pause();
      socket.end();
      await sleep(100);
      expect(await hashOf(socket.resume()), sha(bytes), 'what came');
    }
  }),
);

await exercise('resets, from either side', () =>
  withCore({}, async (_, listen) => {
    const count = 20;
    const codes = [];
    const { endpoint } = await listen({
      session: {
        onReceive: (session, data) => (data[0] === 1 ? session.destroy() : session.send(data)),
        onDisconnected: (_, error) => codes.push(error?.code),
      },
    });
    for (let i = 0; i < count; i++) {
      const socket = dial({ host: HOST, port: endpoint.port }).resume();
      const end = closed(socket);
      socket.write(Buffer.of(1 + (i % 2)));
      if (i % 2 === 1) {
        await once(socket, 'data');
        socket.resetAndDestroy();
      }
      await end;
    }
    while (codes.length < count) await sleep(10);
    expect(codes.filter((code) => code === 'ECONNRESET').length, count / 2, 'sessions that the peer has reset');
  }),
);

await exercise('connections of our own to our own, refused ones, a Unix socket', () =>
  withCore({}, async (core, listen) => {
    const path = '/tmp/exercise.sock';
    const { endpoint } = await listen({ session: echo });
    await Listener.listen(core, { path, session: echo });
    let back = 0;
    const session = {
      onConnected: (own) => own.send('x'),
      onReceive: (own) => {
        back++;
        own.end();
      },
    };
    const connector = new Connector(core, { session });
    for (const target of [{ host: HOST, port: endpoint.port }, { path }]) {
      await Promise.all(Array.from({ length: 50 }, () => connector.connect(target)));
    }
    while (back < 100) await sleep(10);
    const refused = await connector.connect({ host: HOST, port: 1 }).catch(({ code }) => code);
    expect(refused, 'ECONNREFUSED', 'nothing listens');
  }),
);

await exercise('datagrams', () =>
  withCore({}, async (core) => {
    const session = { onMessage: (own, data, from) => own.send(data, from) };
    const { local } = await DatagramSession.bind(core, { host: HOST, port: 0, session });
    const socket = createSocket('udp4');
    for (const size of [0, 1, 64, 1400, 8192]) {
      for (let i = 0; i < 20; i++) {
        const sent = randomBytes(size);
        const back = once(socket, 'message');
        socket.send(sent, local.port, HOST);
        expect(sha((await back)[0]), sha(sent), `a datagram of ${size} bytes`);
      }
    }
    socket.close();
  }),
);

await exercise('files, to peers that read and to slow ones', () =>
  withCore({}, async (_, listen) => {
    const file = randomBytes(8 << 20);
    writeFileSync('/tmp/exercise.bin', file);
    const { endpoint } = await listen({
      session: {
        onConnected: async (session) => {
          await session.sendFile('/tmp/exercise.bin');
          session.end();
        },
      },
    });
    const fetch = async (slow) => {
      const socket = dial({ host: HOST, port: endpoint.port });
      if (slow) socket.on('data', () => socket.pause() && setTimeout(() => socket.resume(), 1));
      expect(await hashOf(socket), sha(file), 'the file');
    };
    await Promise.all([fetch(false), fetch(true), fetch(false)]);
  }),
);

await exercise('jobs', async () => {
  const pool = new JobPool({ module: new URL('job-module.mjs', import.meta.url) });
  const sums = await Promise.all(Array.from({ length: 100 }, (_, i) => pool.run('sum', [i, 1])));
  for (const [i, sum] of sums.entries()) expect(sum, i + 1, 'a sum');
  await pool.stop();
});

await exercise('ports and cores that start and stop', async () => {
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  for (let i = 0; i < 20; i++) openPort({ backend: 'io_uring' }).destroy();
  for (let i = 0; i < 8; i++) {
    await withCore(i % 4 === 0 ? { threads: 2 } : {}, async (_, listen) => {
      const { endpoint } = await listen(i % 4 === 0 ? { module } : { session: echo });
      await echoes({ host: HOST, port: endpoint.port }, 2, 64, 1);
    });
  }
  for (let i = 0; i < 100 && descriptors() > before; i++) await sleep(20);
  if (descriptors() > before) throw new Error(`${descriptors() - before} descriptors are left`);
});

process.exit(failed === 0 ? 0 : 1);
