// The bench: many connections to an echo server, for some seconds. It measures, and verifies every byte.

import { type BackendName, Connector, IocpCore } from '@overlapped/session';
import { build, type Histogram } from 'hdr-histogram-js';
import { BenchError, Client, type Run } from './client.js';
import { Pattern } from './pattern.js';

export interface BenchOptions {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Bytes of a message. */
  readonly size: number;
  /** Messages that each connection has under way. */
  readonly outstanding: number;
  readonly seconds: number;
  readonly backend?: BackendName;
}

export interface BenchResult {
  readonly backend: BackendName;
  /** Messages that came back while it was measured, each of `size` bytes. */
  readonly messages: number;
  readonly seconds: number;
  /** Round trips, in microseconds. */
  readonly latencies: Histogram;
}

/** Told a few times a second how many seconds have passed and how many messages came back. */
export type OnProgress = (seconds: number, messages: number) => void;

/** Connections that are made at a time. */
const CONNECTING = 256;
const CONNECT_LIMIT = 10_000;
/** How long the last messages may take, after the end. */
const DRAIN_LIMIT = 5000;
const PROGRESS_INTERVAL = 100;

/** Rejects with an IocpError when it cannot connect, with a BenchError when a byte or a connection is lost. */
export async function bench(options: BenchOptions, onProgress: OnProgress = () => {}): Promise<BenchResult> {
  const { backend, connections, seconds } = options;
  const core = new IocpCore({ maxSessions: connections, ...(backend && { backend }) });
  const { clients, done, failed, run } = prepare(options);
  class NextClient extends Client {
    constructor() {
      super(clients.length, run);
      clients.push(this);
    }
  }
  try {
    const connected = connectAll(new Connector(core, { session: NextClient }), options);
    await within(CONNECT_LIMIT, 'the server did not accept in time', Promise.race([connected, failed]));
    for (const client of clients) client.start();
    const measured = await measure(clients, seconds, failed, onProgress);
    for (const client of clients) client.stop();
    await within(DRAIN_LIMIT, 'the last messages did not come back', Promise.race([done, failed]));
    return { backend: core.backend, latencies: run.latencies, ...measured };
  } finally {
    await core.stop(0);
  }
}

/** State that the clients share; through it the bench learns of their end. */
function prepare({ connections, size, outstanding }: BenchOptions) {
  const clients: Client[] = [];
  const latencies = build({ highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: 3 });
  let finish: () => void;
  let fail: (error: BenchError) => void;
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  let left = connections;
  const run: Run = {
    size,
    outstanding,
    pattern: new Pattern(Math.max(size, 16384)),
    latencies,
    ended(error) {
      if (error) fail(error);
      else if (--left === 0) finish();
    },
  };
  return { clients, done, failed, run };
}

async function connectAll(connector: Connector, { connections, host, port }: BenchOptions): Promise<void> {
  for (let made = 0; made < connections; made += CONNECTING) {
    const count = Math.min(CONNECTING, connections - made);
    await Promise.all(Array.from({ length: count }, () => connector.connect({ host, port })));
  }
}

/** Lets the clients work for some seconds, or until one fails. */
async function measure(clients: readonly Client[], seconds: number, failed: Promise<never>, onProgress: OnProgress) {
  const start = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const elapsed = new Promise<{ messages: number; seconds: number }>((resolve) => {
    timer = setInterval(() => {
      const now = { messages: clients.reduce((sum, { messages }) => sum + messages, 0), seconds: secondsSince(start) };
      onProgress(now.seconds, now.messages);
      if (now.seconds >= seconds) resolve(now);
    }, PROGRESS_INTERVAL);
  });
  try {
    return await Promise.race([elapsed, failed]);
  } finally {
    clearInterval(timer);
  }
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}

async function within<T>(limit: number, message: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new BenchError(message)), limit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
