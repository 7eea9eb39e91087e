// The rival: the same server on node:net, as one writes it, with the same backlog.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { behaviour, countConnection, GREETING, ready } from './agent.js';
import { doAsAsked } from './asked.js';
import { ASK, life } from './life.js';
import { streams } from './streams.js';

function knock(socket: Socket): void {
  socket.end();
}

function echoAndReport(socket: Socket): void {
  socket.on('data', async (data) => socket.write(data.length === ASK.length ? await life() : data));
}

function serveAsked(socket: Socket): void {
  socket.on('data', (data) => {
    doAsAsked(data);
    socket.write(data);
  });
}

const crowd = new Set<Socket>();

function join(socket: Socket): void {
  crowd.add(socket);
  socket.on('close', () => crowd.delete(socket));
  socket.write(GREETING);
  socket.on('data', (data) => {
    for (const member of crowd) member.write(data);
  });
}

const serves = { ...streams, knock, life: echoAndReport, crowd: join, asked: serveAsked };
const serve = serves[behaviour as keyof typeof serves];
const server = createServer({ noDelay: true }, (socket) => {
  countConnection();
  // A client that resets its connection would end the process.
  socket.on('error', () => {});
  serve(socket);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  ready({ port: (server.address() as AddressInfo).port, by: 'node:net' });
});
