// Workers: the listener gives each connection to the worker thread with the fewest sessions, and that thread makes the Session.
import { once } from 'node:events';
import { connect } from 'node:net';
import { isMainThread, threadId } from 'node:worker_threads';
import { IocpCore, Listener, Session } from '@overlapped/session';

export default class extends Session {
  override onConnected(): void {
    this.send(String(threadId)); // The session stays with this thread: no other one runs its handlers.
  }
}

if (isMainThread) {
  const core = new IocpCore({ threads: 2 });
  if (core.backend === 'portable') throw new Error('The sessions of this backend have no worker threads');
  // Each worker loads the module, opens a port of its own, and registers the sockets that it gets with that port.
  const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, module: new URL(import.meta.url) });
  console.log(`Thread ${threadId} accepts, and posts each connection to one of two workers.`);
  for (let i = 1; i <= 4; i++) {
    const [thread] = await once(connect(endpoint.port, '127.0.0.1'), 'data');
    console.log(`connection ${i}: its Session is in thread ${thread}`);
  }
  await core.stop(); // Ends the sessions, and the workers.
}
