// A stop that loses no answer: on SIGTERM the server takes no more requests, finishes those it has, sends the answers, and
// ends. A second signal ends it at once. Run `node examples/graceful-stop.js`, type lines into `nc 127.0.0.1 7006`, then Ctrl-C.

import { setTimeout as wait } from 'node:timers/promises';
import { framed, IocpCore, Listener, lines } from '@overlapped/session';

/** @type {Set<Promise<void>>} */
const working = new Set();
let stopping = false;

const core = new IocpCore();
const listener = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7006),
  session: framed(lines(), {
    onPacket(session, line) {
      // Not pause(): a session that is paused does not see the end of its peer, and could not close.
      if (stopping) return;
      const answered = answer(line.toString()).then((text) => void session.sendPacket(text));
      working.add(answered);
      const done = () => working.delete(answered);
      return answered.finally(done); // if it fails, the session closes
    },
  }),
});
console.log(`serving on port ${listener.endpoint.port}`);

/** @param {string} request */
async function answer(request) {
  console.log(`request: ${request}`);
  await wait(500); // a database, say
  return `done: ${request}`;
}

async function stop() {
  process.once('SIGTERM', () => process.exit(1)).once('SIGINT', () => process.exit(1));
  stopping = true;
  console.log(`${working.size} to finish`);
  await Promise.allSettled(working);
  // Closes the listener, sends what is queued, and half-closes each session. After 5 s it resets those that are left.
  await core.stop();
  console.log('stopped');
}
process.once('SIGTERM', stop).once('SIGINT', stop);
