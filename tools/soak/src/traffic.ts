// What a peer of a soak may do with one connection. Each resolves with the bytes that it has compared, and rejects when
// something was lost.

import { setTimeout as sleep } from 'node:timers/promises';
import { Peer } from './peer.js';
import type { Ports } from './protocol.js';
import { message, type Random } from './random.js';

type Act = (ports: Ports, random: Random) => Promise<number>;

const MOST = 100_000;
const ROUNDS = 8;
/** What a deaf peer sends: more than the server queues and the sockets hold. */
const DEAF = 4 << 20;

function bytesOf(random: Random, most = MOST): Buffer {
  return message(random.between(0, 2 ** 20), random.size(most));
}

async function echo({ echo: port }: Ports, random: Random): Promise<number> {
  const peer = await Peer.connect(port);
  let bytes = 0;
  for (let rounds = random.between(1, ROUNDS); rounds > 0; rounds--) {
    const data = bytesOf(random);
    peer.socket.write(data);
    await peer.expect(data);
    bytes += data.length;
  }
  await peer.end();
  return bytes;
}

/** Frames cut anywhere: each must come back whole, in order. */
async function frames({ frames: port }: Ports, random: Random): Promise<number> {
  const peer = await Peer.connect(port);
  const parts: Buffer[] = [];
  for (let count = random.between(1, 20); count > 0; count--) {
    const body = bytesOf(random, 20_000);
    const header = Buffer.alloc(4);
    header.writeUInt32BE(body.length);
    parts.push(header, body);
  }
  const stream = Buffer.concat(parts);
  for (let at = 0; at < stream.length; ) {
    const end = at + random.size(stream.length);
    peer.socket.write(stream.subarray(at, end));
    at = end;
  }
  await peer.expect(stream);
  await peer.end();
  return stream.length;
}

/** What is sent comes back after our FIN, and then the other's. */
async function halfClose({ echo: port }: Ports, random: Random): Promise<number> {
  const peer = await Peer.connect(port);
  const data = bytesOf(random);
  peer.socket.end(data);
  await peer.expect(data);
  await peer.end();
  return data.length;
}

async function oneByteAtATime({ echo: port }: Ports, random: Random): Promise<number> {
  const peer = await Peer.connect(port);
  const data = bytesOf(random, 100);
  for (const byte of data) {
    peer.socket.write(Uint8Array.of(byte));
    await sleep(random.between(0, 5));
  }
  await peer.expect(data);
  await peer.end();
  return data.length;
}

/** Messages may be passed over; those that come are whole, and in order. */
async function crowd({ crowd: port }: Ports, random: Random): Promise<number> {
  const peer = await Peer.connect(port);
  let bytes = 0;
  let last = -1;
  for (let count = random.between(1, 20); count > 0; count--) {
    const header = await peer.read(8);
    const number = header.readUInt32LE(0);
    if (number <= last) throw new Error(`message ${number} came after ${last}`);
    last = number;
    await peer.expect(message(number, header.readUInt32LE(4)));
    bytes += 8 + header.readUInt32LE(4);
  }
  // More may be on its way: this end is not an orderly one.
  peer.socket.destroy();
  return bytes;
}

async function churn({ echo: port }: Ports): Promise<number> {
  const peer = await Peer.connect(port);
  await peer.end();
  return 0;
}

/** Vanishes, with much on its way. */
async function reset({ echo: port }: Ports, random: Random): Promise<number> {
  const peer = await Peer.connect(port);
  peer.socket.write(bytesOf(random));
  await sleep(random.between(0, 5));
  await peer.reset();
  return 0;
}

async function deaf({ echo: port }: Ports, random: Random): Promise<number> {
  const peer = await Peer.connect(port);
  for (let sent = 0; sent < DEAF; sent += MOST) peer.socket.write(message(sent, MOST));
  await sleep(random.between(100, 1000));
  await peer.reset();
  return 0;
}

export const acts: Readonly<Record<string, Act>> = {
  echo,
  frames,
  halfClose,
  oneByteAtATime,
  crowd,
  churn,
  reset,
  deaf,
};
