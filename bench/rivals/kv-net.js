// kv-net: the key-value server of apps/kv on node:net: the same parser, store and replies, so that only what carries the
// bytes differs.
//
// Listens on a free port of 127.0.0.1 and prints its number. Ends when stdin closes, or on SIGTERM.

import { createServer } from 'node:net';
import { CHUNK, Client, Kv } from '@overlapped/kv/engine';

/** Bytes that may wait to be sent before a client is served no more: as much as a session of ours takes. */
const HIGH_WATERMARK = 262_144;

const kv = new Kv((delay) => setTimeout(() => kv.store.sweep(), delay));

class SocketTransport {
  #socket;

  constructor(socket) {
    this.#socket = socket;
  }

  // One write for a batch of requests, and for each 16 KiB of replies. A socket keeps what it is given, so what will be
  // overwritten is copied, as a session does, too.
  send(bytes) {
    this.#socket.write(bytes.length > CHUNK ? bytes : Buffer.from(bytes));
    return this.#socket.writableLength <= HIGH_WATERMARK;
  }

  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  end() {
    this.#socket.destroySoon();
  }

  destroy() {
    this.#socket.resetAndDestroy();
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  const client = new Client(kv, new SocketTransport(socket));
  socket.on('data', (data) => client.receive(data));
  socket.on('drain', () => client.drained());
  socket.on('close', () => client.closed());
  // A client that resets its connection is no error of ours.
  socket.on('error', () => {});
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume();
