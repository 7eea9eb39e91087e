// The clients of a held load, in a process of their own: all connect, and then each sends a message every second or so and
// compares what comes back.

import { setTimeout as sleep } from 'node:timers/promises';
import { Peer } from './peer.js';
import type { ClientOptions, FromClient } from './protocol.js';
import { message, Random } from './random.js';

const { ports, seed, peers }: ClientOptions = JSON.parse(process.argv[2]!);
const AT_ONCE = 100;
const LONGEST = 2000;
let messages = 0;
let bytes = 0;
const stopping = new AbortController();

async function talk(peer: Peer, random: Random): Promise<void> {
  const { signal } = stopping;
  try {
    while (!signal.aborted) {
      const data = message(random.between(0, 2 ** 20), random.size(LONGEST));
      peer.socket.write(data);
      await peer.expect(data);
      messages++;
      bytes += data.length;
      await sleep(random.between(500, 1500));
    }
    await peer.end();
  } catch (error) {
    process.send!({ failure: (error as Error).message } satisfies FromClient);
  }
}

process.on('SIGINT', () => {});
process.on('message', () => stopping.abort());
process.on('disconnect', () => process.exit());
const talks: Promise<void>[] = [];
while (talks.length < peers) {
  const some = Math.min(AT_ONCE, peers - talks.length);
  const connected = await Promise.all(Array.from({ length: some }, () => Peer.connect(ports.echo)));
  for (const peer of connected) talks.push(talk(peer, new Random(seed + talks.length)));
}
await Promise.all(talks);
process.send!({ tally: { done: { messages }, bytes } } satisfies FromClient, () => process.disconnect());
