// The command: what a thousand starts and stops of a core with two worker threads leave behind in one process, beside as
// many threads that only load koffi, whose leak is not ours to mend.

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { pathOf } from '../paths.js';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '1000' } } });
const rounds = Number(values.rounds);
const THREADS = 2;
/** Rounds after which what is needed once is there. */
const WARM_UP = 50;

const module = pathToFileURL(pathOf('dist/servers/echo-session.js'));
const koffi = createRequire(createRequire(import.meta.url).resolve('@overlapped/iocp-native')).resolve('koffi');

await measure('a core with two threads', async () => {
  const core = new IocpCore({ threads: THREADS });
  const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, module });
  const client = connect(endpoint.port, '127.0.0.1');
  const closed = once(client, 'close');
  client.write('hello');
  await once(client, 'data');
  await core.stop();
  await closed;
});

await measure('two threads that load koffi', async () => {
  const source = `require(${JSON.stringify(koffi)}).load(null).func('int getpid()')()`;
  const workers = Array.from({ length: THREADS }, () => new Worker(source, { eval: true }));
  await Promise.all(workers.map((worker) => once(worker, 'exit')));
});

async function measure(what: string, round: () => Promise<void>): Promise<void> {
  for (let i = 0; i < WARM_UP; i++) await round();
  const before = snapshot();
  for (let i = 0; i < rounds; i++) await round();
  const after = snapshot();
  const kilobytes = (after.resident - before.resident) / rounds;
  console.log(`${what}, ${rounds} times: threads ${before.threads} -> ${after.threads}, descriptors`);
  console.log(`  ${before.descriptors} -> ${after.descriptors}, resident memory ${kilobytes.toFixed(1)} kB each`);
}

function snapshot() {
  globalThis.gc?.();
  const [, resident] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))!;
  return {
    resident: Number(resident),
    threads: readdirSync('/proc/self/task').length,
    descriptors: readdirSync('/proc/self/fd').length,
  };
}
