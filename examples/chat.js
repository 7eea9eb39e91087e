// A chat room on worker threads: chat-session.js is what each connection does. Run `node examples/chat.js`, then type into
// two terminals with `nc 127.0.0.1 7002`. The first line is the name.

import { IocpCore, Listener } from '@overlapped/session';

const core = new IocpCore({ threads: 2, onWorkerLost: (index, error) => console.error(`thread ${index}:`, error) });
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7002),
  // Each thread loads the module. A connection stays in its thread; a broadcast reaches all threads.
  module: new URL('./chat-session.js', import.meta.url),
  // A member who does not read misses what is said. With 'close' it would be disconnected.
  slowMembers: 'skip',
});
console.log(`chat on port ${endpoint.port}`);

process.once('SIGINT', () => core.stop());
