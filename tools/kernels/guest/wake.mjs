// Is a thread that waits woken for every message, and for every connection? One after another, with pauses in which the pump
// goes back to the event loop.

import { once } from 'node:events';
import { connect } from 'node:net';
import { release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { candidates } from '@overlapped/iocp-native';
import { IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';

const MESSAGES = 50;
const CONNECTIONS = 10;
const PATIENCE = 60_000;

let failed = 0;
function tell(ok, what) {
  if (!ok) failed++;
  console.log(`${ok ? 'ok  ' : 'FAIL'} wake, Linux ${release()}, ${what}`);
}

/** Sends one byte. Gives the milliseconds until it is back, or null when it does not come. */
async function roundTrip(socket) {
  const started = performance.now();
  const back = once(socket, 'data');
  socket.write('x');
  const found = await Promise.race([back, sleep(PATIENCE, null, { ref: false })]);
  return found && performance.now() - started;
}

const { availability } = candidates().find(({ name }) => name === 'io_uring');
tell(availability.available, availability.available ? 'io_uring is available' : availability.reason);

for (const [mode, options] of availability.available
  ? Object.entries({ guest: {}, dedicated: { dedicated: true } })
  : []) {
  const core = new IocpCore({ backend: 'io_uring', ...options });
  const session = { onReceive: (session, data) => session.send(data) };
  const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, session });
  const socket = connect({ port: endpoint.port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const times = [];
  while (times.length < MESSAGES) {
    const time = await roundTrip(socket);
    if (time === null) break;
    times.push(time);
    await sleep(5);
  }
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1]?.toFixed(2);
  tell(times.length === MESSAGES, `${mode}: ${times.length} of ${MESSAGES} messages came back, median ${median} ms`);
  socket.destroy();
}

// The thread that accepts for worker threads is a guest.
if (availability.available) {
  const core = new IocpCore({ backend: 'io_uring', threads: 2 });
  const module = new URL('echo-module.mjs', import.meta.url);
  const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, module });
  let served = 0;
  for (; served < CONNECTIONS; served++) {
    const socket = connect({ port: endpoint.port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const time = await roundTrip(socket);
    socket.destroy();
    if (time === null) break;
    await sleep(20);
  }
  tell(served === CONNECTIONS, `2 threads: ${served} of ${CONNECTIONS} connections, one after another, were served`);
}
process.exit(failed === 0 ? 0 : 1);
