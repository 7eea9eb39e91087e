// The rival: the same http server, listening itself.

import type { AddressInfo } from 'node:net';
import { countConnection, ready } from './agent.js';
import { createServer } from './pages.js';

const server = createServer().on('connection', countConnection);
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  ready({ port: (server.address() as AddressInfo).port, by: 'node:net' });
});
