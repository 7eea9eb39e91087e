// The rival: the same server on node:net, as one writes it, with the same backlog.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { behaviour, countConnection, ready } from './agent.js';
import { ASK, life } from './life.js';

function echo(socket: Socket): void {
  socket.on('data', (data) => socket.write(data));
}

function knock(socket: Socket): void {
  socket.end();
}

function echoAndReport(socket: Socket): void {
  socket.on('data', async (data) => socket.write(data.length === ASK.length ? await life() : data));
}

const serve = { echo, knock, life: echoAndReport }[behaviour as 'echo' | 'knock' | 'life'];
const server = createServer({ noDelay: true }, (socket) => {
  countConnection();
  // A client that resets its connection would end the process.
  socket.on('error', () => {});
  serve(socket);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  ready({ port: (server.address() as AddressInfo).port, by: 'node:net' });
});
