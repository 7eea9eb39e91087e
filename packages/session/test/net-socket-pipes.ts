// More rows of net-socket-rows.ts: what Node's own plumbing makes of a socket.

import { PassThrough, pipeline, Readable, Transform } from 'node:stream';
import { MUCH, REFUSES_TO_PRETEND, type Row } from './net-socket-rows.js';
import { codeOf } from './streams.js';
import { pattern, read } from './support.js';

export const pipes: Row[] = [
  {
    name: 'socket.pipe(socket) sends everything back, and ends with the peer',
    async run({ socket, peer, notes, closed, peerClosed }) {
      socket.pipe(socket);
      peer.end(pattern(1_000_000));
      notes.push(`${(await read(peer, 1_000_000)).equals(pattern(1_000_000))}`);
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'pipeline(socket, transform, socket)',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      const louder = new Transform({
        transform: (chunk, _, callback) => callback(null, chunk.toString().toUpperCase()),
      });
      pipeline(socket, louder, socket, (error) => log.push(`pipeline ${error}`));
      peer.end('hello');
      notes.push((await read(peer, 5)).toString());
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'pipeline(source, socket) leaves the other way open',
    async run({ socket, peer, log, notes, closed, peerClosed }) {
      const sent = new Promise<void>((resolve) =>
        pipeline(Readable.from([pattern(MUCH)]), socket, (error) => {
          log.push(`pipeline ${error}`);
          resolve();
        }),
      );
      notes.push(`${(await read(peer, MUCH)).equals(pattern(MUCH))}`);
      await sent;
      notes.push(`destroyed ${socket.destroyed}`);
      peer.end('still open');
      if (!socket.destroyed) notes.push((await read(socket, 10)).toString());
      await Promise.all([closed, peerClosed]);
    },
  },
  {
    name: 'pipeline(failing source, socket) destroys the socket',
    async run({ socket, peer, notes, closed, peerClosed }) {
      const source = new PassThrough();
      const failed = new Promise<unknown>((resolve) => pipeline(source, socket, resolve));
      peer.resume();
      source.destroy(new Error('no more'));
      notes.push(codeOf(await failed));
      await closed;
      peer.end();
      await peerClosed;
    },
    differs: {
      because: REFUSES_TO_PRETEND,
      log: ['error no more', 'close true'],
      peerLog: ['error ECONNRESET', 'close true'],
    },
  },
];
