// A server of shared sessions: any thread of one port takes the next message of any of them.

import { IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { countConnection, ready, threads } from './agent.js';

/** Milliseconds between two looks. */
const LOOK = 20;

const core = new IocpCore({ concurrency: threads });
const shared = new URL('./shared-session.js', import.meta.url);
const listener = await Listener.listen(core, { host: '127.0.0.1', port: 0, shared });
ready({ port: listener.endpoint.port, by: `shared, ${threads} of ${listener.threads}` });

// The threads accept: this one looks how many connections they have.
let counted = 0;
setInterval(() => {
  for (; counted < listener.stats.accepted; counted++) countConnection();
}, LOOK);
