// Accept: a listener starts many accepts before a client comes, and each connection becomes a Session.
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { IocpCore, Listener } from '@overlapped/session';

const CLIENTS = 3;
const core = new IocpCore();
let connected = 0;
const listener = await Listener.listen(core, {
  host: '127.0.0.1',
  port: 0,
  session: { onConnected: () => console.log(`onConnected: session ${++connected}`) },
});

/** Statistics are written at the end of a batch: a post makes one. */
async function say(when: string): Promise<void> {
  await new Promise<void>((resolve) => core.post({ onPost: resolve }, undefined));
  await turn();
  const { events, sessions } = core.stats().total;
  console.log(`${when}: ${sessions} sessions, ${events - sessions} accepts outstanding`);
}

await say('Before the first client');
const clients = Array.from({ length: CLIENTS }, () => connect(listener.endpoint.port, '127.0.0.1'));
await Promise.all(clients.map((client) => once(client, 'connect')));
while (connected < CLIENTS) await sleep(1);
await say(`With ${CLIENTS} clients`);
console.log('Each accept that completed was started again at once. Each session has a receive outstanding.');

for (const client of clients) client.destroy();
await core.stop(); // Checks that every event has come back.
