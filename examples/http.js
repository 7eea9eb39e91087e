// Node's http server on sessions: a session as a stream is a net.Socket to it. Express, Fastify and others work in the same
// way. Run `node examples/http.js`, then `curl http://127.0.0.1:7007/`.

import { createServer } from 'node:http';
import { IocpCore, Listener } from '@overlapped/session';

const server = createServer((request, response) => {
  response.end(`${request.method} ${request.url} from ${request.socket.remoteAddress}\n`);
});
server.emit('listening'); // starts its header and request timeouts

const core = new IocpCore();
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7007),
  session: { onConnected: (session) => server.emit('connection', session.toDuplex()) },
  maxSessions: 10_000,
});
console.log(`http on port ${endpoint.port}`);

process.once('SIGINT', () => {
  server.close(); // closes idle connections; requests that are being answered are finished
  core.stop();
});
