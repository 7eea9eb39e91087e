// A process that connects to 127.0.0.1 for each line with a port number, and says how that went on.

import { connect } from 'node:net';
import { createInterface } from 'node:readline';

createInterface(process.stdin).on('line', (port) => {
  const socket = connect(Number(port), '127.0.0.1', () => console.log('connected'));
  socket.on('error', () => {});
  socket.on('close', () => console.log('closed'));
  socket.resume();
});
console.log('ready');
