// What else lives on a server's thread, and how it fares: its timers, its reads of files, its fetches.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A message of this text asks for the report, which comes back as a line of JSON. */
export const ASK = 'how is life?';

/** Milliseconds of each try: beyond the 10 that a timer was set for, of reading a file, of fetching from this thread. */
export interface Life {
  readonly late: number[];
  readonly read: number[];
  readonly fetch: number[];
}

const TIMER = 10;
const TRIES = { late: 100, read: 100, fetch: 50 };

export async function life(): Promise<string> {
  const server = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const report: Life = {
    late: (await times(TRIES.late, () => sleep(TIMER))).map((time) => time - TIMER),
    read: await times(TRIES.read, () => readFile(import.meta.filename)),
    fetch: await times(TRIES.fetch, async () => (await fetch(url)).text()),
  };
  server.close();
  server.closeAllConnections();
  return `${JSON.stringify(report)}\n`;
}

async function times(count: number, act: () => Promise<unknown>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await act();
    all.push(performance.now() - started);
  }
  return all;
}
