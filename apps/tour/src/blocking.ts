// A thread that blocks does not count as running: the port lets the next one start, so there are more threads than places.
import { once } from 'node:events';
import { connect } from 'node:net';
import { getEnvironmentData, isMainThread, setEnvironmentData, threadId } from 'node:worker_threads';
import { IocpCore, Listener, SharedSession } from '@overlapped/session';

if (isMainThread) setEnvironmentData('signal', new SharedArrayBuffer(4));
const signal = new Int32Array(getEnvironmentData('signal') as SharedArrayBuffer);

export default class extends SharedSession {
  override onReceive(request: Buffer): void {
    if (request.toString() === 'wait') {
      Atomics.wait(signal, 0, 0); // Blocks this thread until another session's handler gives the signal.
    } else {
      Atomics.store(signal, 0, 1);
      Atomics.notify(signal, 0);
    }
    this.send(String(threadId));
  }
}

if (isMainThread) {
  // One place, two threads: 2 x concurrency, which is the default too. Either thread serves either session.
  const core = new IocpCore({ concurrency: 1, threads: 2 });
  const shared = new URL(import.meta.url);
  const { endpoint, threads } = await Listener.listen(core, { host: '127.0.0.1', port: 0, shared });
  if (threads === 0) throw new Error('Threads cannot share a port on this system');
  const [waiter, giver] = [connect(endpoint.port, '127.0.0.1'), connect(endpoint.port, '127.0.0.1')];
  await Promise.all([once(waiter, 'connect'), once(giver, 'connect')]);

  waiter.write('wait');
  giver.write('signal'); // With one thread, or if the blocked one kept its place, this handler would never start.
  console.log('The first handler blocks in the only place. The second packet is queued.');
  const [[second], [first]] = await Promise.all([once(giver, 'data'), once(waiter, 'data')]);
  console.log('The port noticed: the second handler ran, and woke the first.');
  console.log(`They ran in ${String(first) === String(second) ? 'the same thread' : 'two threads'}.`);
  for (const client of [waiter, giver]) client.destroy();
  await core.stop();
}
