// What a server does with a Node stream: the same functions serve a net.Socket and the stream of a session.

import type { Duplex } from 'node:stream';
import { chunkFor } from './agent.js';

function echo(stream: Duplex): void {
  stream.on('data', (data) => stream.write(data));
}

function pour(stream: Duplex): void {
  stream.once('data', (request) => {
    const chunk = chunkFor(request);
    const write = () => {
      while (stream.write(chunk));
    };
    stream.on('drain', write);
    write();
  });
}

function sink(stream: Duplex): void {
  stream.resume();
}

export const streams = { echo, pour, sink };
