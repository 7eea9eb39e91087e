// Handlers that may block: any thread serves any session, and where one blocks, another thread runs in its place.
// blocking-session.js has the handlers. Run `node examples/blocking.js`, type `slow` into `nc 127.0.0.1 7010`, and
// meanwhile something else into a second one: it is answered at once.

import { IocpCore, Listener } from '@overlapped/session';

// At most two handlers run at a time. Four threads wait for packets, twice the concurrency, so two may be blocked.
const core = new IocpCore({ concurrency: 2 });
const listener = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7010),
  shared: new URL('./blocking-session.js', import.meta.url),
});
// No threads: this system has no port that threads can share. Handlers run here, and one that blocks holds up all others.
console.log(`${listener.threads} threads serve on port ${listener.endpoint.port}`);

process.once('SIGINT', () => core.stop());
