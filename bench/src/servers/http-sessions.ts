// Node's http over sessions.

import { IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { countConnection, ready } from './agent.js';
import { createServer } from './pages.js';

const core = new IocpCore();
const server = createServer();
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: 0,
  session: {
    onConnected(session) {
      countConnection();
      server.emit('connection', session.toDuplex());
    },
  },
});
ready({ port: endpoint.port, by: core.backend });
