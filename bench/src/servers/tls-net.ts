// The rival: the same echo on node:tls.

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { countConnection, ready } from './agent.js';
import { makeCertificate } from './certificate.js';
import { streams } from './streams.js';

const server = createServer({ ...(await makeCertificate()), noDelay: true }, (socket) => {
  countConnection();
  // A client that resets its connection would end the process.
  socket.on('error', () => {});
  streams.echo(socket);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  ready({ port: (server.address() as AddressInfo).port, by: 'node:tls' });
});
