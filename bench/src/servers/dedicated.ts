// A server of sessions in worker threads of their own, each of which waits in the kernel for its port.

import { IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { behaviour, ready, threads } from './agent.js';

const core = new IocpCore({ threads });
const module = new URL(`./${behaviour}-session.js`, import.meta.url);
const { endpoint } = await Listener.listen(core, { host: '127.0.0.1', port: 0, module });
ready({ port: endpoint.port, by: `${core.backend} x ${threads}` });
