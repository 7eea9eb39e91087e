// The rival: the same server on node:dgram, as one writes it.

import { createSocket } from 'node:dgram';
import { ready } from './agent.js';

const socket = createSocket('udp4');
socket.on('message', (data, { address, port }) => socket.send(data, port, address));
socket.bind(0, '127.0.0.1', () => {
  ready({ port: socket.address().port, by: 'node:dgram' });
});
