// A small program, as a user would write it: an echo on the main thread, one in worker threads, and a job. It prints what
// became of each.

import { JobPool } from '@overlapped/jobs';
import { IocpCore } from '@overlapped/net-core';
import { Connector, Listener } from '@overlapped/session';

main();

async function main() {
  const core = new IocpCore({ threads: 1 });
  console.log(`backend: ${core.backend}`);
  await attempt('echo', async () => echo(core, { session: { onReceive: (session, data) => session.send(data) } }));
  // Modules of threads are no part of a bundle.
  const { href } = new URL('.', `file://${process.env.PROGRAMS}/`);
  await attempt('threads', async () => echo(core, { module: new URL('sessions.mjs', href) }));
  await attempt('jobs', async () => {
    const pool = new JobPool({ module: new URL('jobs.mjs', href), threads: 1 });
    const answer = await pool.run('answer');
    await pool.stop();
    return answer;
  });
  await core.stop();
}

async function attempt(name, trial) {
  try {
    console.log(`${name}: ${await trial()}`);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}

async function echo(core, sessions) {
  const listener = await Listener.listen(core, { host: '127.0.0.1', port: 0, ...sessions });
  let received = '';
  const over = new Promise((resolve) => {
    const session = {
      onReceive(client, data) {
        received += data;
        client.end();
      },
      onDisconnected: resolve,
    };
    new Connector(core, { session })
      .connect({ host: '127.0.0.1', port: listener.endpoint.port })
      .then((client) => client.send('served'));
  });
  await over;
  await listener.stop();
  return received;
}
