// What is measured, one function for each figure. README.md says what they mean.

import { setTimeout as sleep } from 'node:timers/promises';
import { type HeldConnections, holdConnections, type LoadMode, MESSAGE_BYTES, runLoad } from '../load/load.js';
import { runSizes, type SizesMode } from '../load/sizes.js';
import { holdTls, runTls, type TlsMode } from '../load/tls.js';
import { Agent } from '../measured/agent.js';
import type { Server } from '../measured/server.js';
import { SLEEP } from '../servers/asked.js';
import type { Sample } from './rounds.js';

type Measure<S> = (server: S) => Promise<Sample>;

/** Milliseconds for a request to be with the server. */
const DELIVERY = 50;

/** Messages (echo, datagrams) or connections (churn, knock) that a server handles while the clients ask for as many as they can. */
export function underLoad(mode: LoadMode, connections: number, seconds: number, message?: string): Measure<Server> {
  return async (server) => {
    const before = await server.cpu();
    const load = await runLoad({ mode, port: server.port, connections, seconds, ...(message && { message }) });
    const after = await server.cpu();
    return {
      rate: load.messages / load.seconds,
      cpu: (after - before) / load.messages,
      clientBusy: load.cpuSeconds / load.seconds,
    };
  };
}

/** Bytes of a megabyte of a stream. */
const MEGABYTE = 1e6;

/** Messages of `bytes` a second, with the times of their round trips; of streams megabytes a second, in chunks of `bytes`. */
export function ofSize(mode: SizesMode, connections: number, bytes: number, seconds: number): Measure<Server> {
  return async (server) => {
    const before = await server.cpu();
    const load = await runSizes({ mode, port: server.port, connections, bytes, seconds });
    const after = await server.cpu();
    const count = mode === 'echo' ? load.messages : (load.messages * bytes) / MEGABYTE;
    return {
      rate: count / load.seconds,
      cpu: (after - before) / count,
      clientBusy: load.cpuSeconds / load.seconds,
      ...(mode === 'echo' && { p50: load.p50, p99: load.p99 }),
    };
  };
}

/** Messages (echo), or connections with one message each (new, resume), over TLS. */
export function overTls(mode: TlsMode, connections: number, bytes: number, seconds: number): Measure<Server> {
  return async (server) => {
    const before = await server.cpu();
    const load = await runTls({ mode, port: server.port, connections, bytes, seconds });
    const after = await server.cpu();
    // The first connection of each place has nothing to resume.
    if (mode === 'resume' && load.resumed < load.messages - connections) {
      throw new Error(`${server.by} has resumed ${load.resumed} TLS sessions of ${load.messages} connections`);
    }
    return {
      rate: load.messages / load.seconds,
      cpu: (after - before) / load.messages,
      clientBusy: load.cpuSeconds / load.seconds,
      p50: load.p50,
      p99: load.p99,
    };
  };
}

/** Messages of 64 bytes of `connections` clients, while `sleepers` others ask for nothing but sleep. */
export function besideSleepers(connections: number, sleepers: number, seconds: number): Measure<Server> {
  return async (server) => {
    const { port } = server;
    const before = await server.cpu();
    const [load] = await Promise.all([
      runSizes({ mode: 'echo', port, connections, bytes: MESSAGE_BYTES, seconds }),
      runLoad({ mode: 'echo', port, connections: sleepers, seconds, message: SLEEP.repeat(MESSAGE_BYTES) }),
    ]);
    const after = await server.cpu();
    return {
      rate: load.messages / load.seconds,
      cpu: (after - before) / load.messages,
      clientBusy: load.cpuSeconds / load.seconds,
      p50: load.p50,
      p99: load.p99,
    };
  };
}

/** Messages that all ask for the same, with the context switches of the server. */
export function asking(letter: string, connections: number, seconds: number): Measure<Agent> {
  return async (server) => {
    const before = await server.figures();
    const message = letter.repeat(MESSAGE_BYTES);
    const load = await runLoad({ mode: 'echo', port: server.port, connections, seconds, message });
    const after = await server.figures();
    return {
      rate: load.messages / load.seconds,
      cpu: (after.cpu - before.cpu) / load.messages,
      switches: (after.switches - before.switches) / load.messages,
      clientBusy: load.cpuSeconds / load.seconds,
    };
  };
}

/** Connections a second, from the first of `count` connects at once to the last onConnected. */
export function burst(count: number): Measure<Agent> {
  return async (server) => {
    const before = await server.figures();
    const all = server.connected(before.connected + count);
    const held = await holdConnections(server.port, count);
    return closeAfter(held, async () => {
      const after = await all;
      return { rate: count / (after.at - held.started), cpu: (after.cpu - before.cpu) / count };
    });
  };
}

/**
 * Connections a second, taken out of a full backlog: they are made while the server is stopped, so that neither the
 * clients nor the handshakes compete with it.
 */
export function drain(count: number): Measure<Agent> {
  return async (server) => {
    const before = await server.figures();
    const all = server.connected(before.connected + count);
    await sleep(DELIVERY);
    server.freeze();
    const held = await holdConnections(server.port, count);
    return closeAfter(held, async () => {
      const thawed = Number(process.hrtime.bigint()) / 1e9;
      server.thaw();
      const after = await all;
      return { rate: count / (after.at - thawed), cpu: (after.cpu - before.cpu) / count };
    });
  };
}

/**
 * Bytes of resident memory for each of `count` idle connections. The server must have none. @param beside connections that are
 * open all the time: threads that accept grow their heaps by the first of them, whatever the number of the others
 */
export async function idleMemory(server: Agent, count: number, beside = 0): Promise<number> {
  if (beside === 0) return memoryOf(server, count, holdConnections);
  const held = await establish(server, beside, holdConnections);
  return closeAfter(held, () => memoryOf(server, count, holdConnections));
}

/** The same of TLS connections. */
export function idleTlsMemory(server: Server, count: number): Promise<number> {
  return memoryOf(server, count, holdTls);
}

async function memoryOf(server: Server, count: number, hold: Hold): Promise<number> {
  // What a server needs once, whatever the number of connections, is there before it counts.
  await (await establish(server, Math.min(count, WARM_UP), hold)).release();
  await sleep(SETTLE);
  const before = await server.memory();
  const held = await establish(server, count, hold);
  return closeAfter(held, async () => {
    await sleep(SETTLE);
    return ((await server.memory()) - before) / count;
  });
}

type Hold = (port: number, connections: number) => Promise<HeldConnections>;

const WARM_UP = 200;
const SETTLE = 500;

async function establish(server: Server, count: number, hold: Hold): Promise<HeldConnections> {
  // Other programs do not count their connections: SETTLE is long enough for the last bytes of each to arrive.
  if (!(server instanceof Agent)) return hold(server.port, count);
  const { connected } = await server.figures();
  const all = server.connected(connected + count);
  const held = await hold(server.port, count);
  await all;
  return held;
}

async function closeAfter<T>(held: HeldConnections, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    await held.release();
  }
}
