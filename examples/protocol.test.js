// Tests protocol.js on the simulation: a network in memory, on virtual time, from one seed. Nothing waits, so a hundred runs
// take less than a second, and a seed that fails fails again. Run `node --test examples/protocol.test.js`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSimulation } from '@overlapped/iocp-native/testing';
import { IocpCore, Listener } from '@overlapped/session';
import { Adder } from './protocol.js';

/** Serves on a simulation, sends `text` as one client, and gives what the client received until it ended. */
async function serve({ seed = 1, text = '', faults = {} }) {
  const simulation = createSimulation({ seed, faults });
  const core = new IocpCore({ system: simulation });
  const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, session: Adder });
  const client = simulation.connect(endpoint);
  client.end(text);
  await simulation.until(() => client.ended || client.closed);
  // Virtual time passes only while the simulation runs. stop() rejects if the server has leaked a buffer or an event.
  await Promise.all([core.stop(), simulation.run()]);
  return client.read().toString();
}

test('adds', async () => {
  assert.equal(await serve({ text: '1\n2\n-4\n' }), '1\n3\n-1\n');
});

test('refuses words, and ends', async () => {
  assert.equal(await serve({ text: '1\ntwo\n3\n' }), '1\nnot a number\n');
});

test('the answers are the same when bytes come one by one, and late', async () => {
  for (let seed = 1; seed <= 100; seed++) {
    const answers = await serve({ seed, text: '10\r\n20\n30\n', faults: { segment: 1, latency: 50 } });
    assert.equal(answers, '10\n30\n60\n', `seed ${seed}`);
  }
});

test('a connection that breaks leaves nothing behind', async () => {
  for (let seed = 1; seed <= 100; seed++)
    await serve({ seed, text: '1\n'.repeat(50), faults: { segment: 3, reset: 0.2 } });
});
