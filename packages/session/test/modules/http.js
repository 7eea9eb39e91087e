// A session module for the worker tests: each thread has an HTTP server of its own, which says who it is.

import { createServer } from 'node:http';
import { threadId } from 'node:worker_threads';

const server = createServer(async (request, response) => {
  let length = 0;
  for await (const chunk of request) length += chunk.length;
  response.end(`${threadId} ${length}`);
});

export default {
  onConnected(session) {
    server.emit('connection', session.toDuplex());
  },
};
