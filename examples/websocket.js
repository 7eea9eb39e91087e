// WebSockets on sessions, by the package ws: what one client says goes to all. Run `node examples/websocket.js`, then open
// http://127.0.0.1:7008/ in two windows of a browser.

import { createServer } from 'node:http';
import { IocpCore, Listener } from '@overlapped/session';
import { WebSocket, WebSocketServer } from 'ws';

const PAGE = `<!doctype html><title>chat</title><input id="text" autofocus placeholder="say something"><pre id="log"></pre><script>
const socket = new WebSocket('ws://' + location.host);
socket.onmessage = ({ data }) => document.getElementById('log').prepend(data + '\\n');
document.getElementById('text').onchange = ({ target }) => { socket.send(target.value); target.value = ''; };
</script>`;

const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(PAGE));
server.emit('listening');
const sockets = new WebSocketServer({ server, maxPayload: 4096 });
sockets.on('connection', (socket) => {
  socket.on('error', (error) => console.error(error.message));
  socket.on('message', (data) => {
    for (const client of sockets.clients) if (client.readyState === WebSocket.OPEN) client.send(String(data));
  });
});

const core = new IocpCore();
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7008),
  session: { onConnected: (session) => server.emit('connection', session.toDuplex()) },
});
console.log(`websocket on port ${endpoint.port}`);

process.once('SIGINT', () => {
  for (const client of sockets.clients) client.close(1001, 'the server stops');
  server.close();
  core.stop();
});
