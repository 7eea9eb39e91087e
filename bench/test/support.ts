// A client that compares what comes back, byte for byte.

import { once } from 'node:events';
import { connect } from 'node:net';

const LENGTHS = [1, 64, 5000, 300_000];

/** Sends some messages on a connection of its own each, all at once; resolves when each has come back as it was. */
export async function expectEcho(port: number): Promise<void> {
  await Promise.all(LENGTHS.map((length) => expectBack(port, length)));
}

async function expectBack(port: number, length: number): Promise<void> {
  const sent = Buffer.from(Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
  const socket = connect(port, '127.0.0.1');
  const pieces: Buffer[] = [];
  let received = 0;
  socket.on('data', (piece) => {
    pieces.push(piece);
    received += piece.length;
    if (received >= length) socket.end();
  });
  socket.write(sent);
  await once(socket, 'close');
  if (!Buffer.concat(pieces).equals(sent)) throw new Error(`of ${length} bytes something else came back`);
}
