// A client that compares what comes back, byte for byte.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import tls from 'node:tls';

type Open = (port: number, host: string) => Socket;

const LENGTHS = [1, 64, 5000, 300_000];

/** A connection of TLS to a server with a certificate of its own. */
export const connectTls = (port: number, host: string): Socket =>
  tls.connect({ port, host, rejectUnauthorized: false });

/** Sends some messages on a connection of its own each, all at once; resolves when each has come back as it was. */
export async function expectEcho(port: number, open: Open = connect): Promise<void> {
  await Promise.all(LENGTHS.map((length) => expectBack(open(port, '127.0.0.1'), length)));
}

/** Sends more than the kernel holds, and reads only when nothing moves any more: the server has to keep what it has read. */
export function expectLateEcho(port: number, open: Open = connect): Promise<void> {
  const socket = open(port, '127.0.0.1');
  const back = expectBack(socket, 10_000_000);
  socket.pause();
  socket.setTimeout(50, () => socket.resume());
  return back;
}

async function expectBack(socket: Socket, length: number): Promise<void> {
  const sent = Buffer.from(Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
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
