// A server on the streams of sessions, with the code of the server on node:net.

import { IocpCore } from '@overlapped/net-core';
import { Listener } from '@overlapped/session';
import { behaviour, countConnection, ready } from './agent.js';
import { streams } from './streams.js';

const core = new IocpCore();
const serve = streams[behaviour as keyof typeof streams];
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: 0,
  session: {
    onConnected(session) {
      countConnection();
      const stream = session.toDuplex();
      // As net.createServer() has it.
      stream.allowHalfOpen = false;
      // A client that resets its connection would end the process.
      stream.on('error', () => {});
      serve(stream);
    },
  },
});
ready({ port: endpoint.port, by: `toDuplex, ${core.backend}` });
