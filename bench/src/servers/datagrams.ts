// A server of datagrams, on the best backend here, as a guest of the event loop.

import { IocpCore } from '@overlapped/net-core';
import { DatagramSession } from '@overlapped/session';
import { ready } from './agent.js';

const core = new IocpCore();
const { local } = await DatagramSession.bind(core, {
  host: '127.0.0.1',
  port: 0,
  session: { onMessage: (session, data, from) => session.send(data, from) },
});
ready({ port: local.port, by: core.backend });
