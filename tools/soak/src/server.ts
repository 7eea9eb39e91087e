// The server under test, in a process of its own: an echo, an echo of frames, and a crowd that is broadcast to. Its parent
// says by messages what it wants: a sample of what is in use, or the end. Options come as JSON in the first argument.

import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  type BackendName,
  broadcast,
  candidates,
  framed,
  IocpCore,
  Listener,
  type ListenOptions,
  lengthPrefixed,
  type SessionHandlers,
  type SessionOptions,
} from '@overlapped/session';
import type { FromServer, Sample, ServerOptions, ToServer } from './protocol.js';
import { message } from './random.js';

const options: ServerOptions = JSON.parse(process.argv[2] ?? '{}');
const RESOLUTION = 5;
const MOST_FRAME = 1 << 18;
const BROADCAST_EVERY = 50;

/** So much that a few seconds of it show, and so many receives before the end, whatever the machine has to do besides. */
const LEAK = 32;
const FATAL = 100;
const SHARED_THREADS = 6;
/** A peer that never reads is cut off beyond this: a shared session goes on receiving while its bytes wait. */
const MOST_QUEUED = 1 << 20;

const leaked: Buffer[] = [];
let received = 0;
let signals = 0;
process.on('SIGUSR2', () => signals++);
// A terminal sends its interrupt to everybody: the parent says when to end.
process.on('SIGINT', () => {});

const core = new IocpCore({
  threads: options.shared ? SHARED_THREADS : 0,
  ...(options.shared && { concurrency: 2 }),
  dedicated: options.dedicated ?? false,
  ...(options.backend && { backend: options.backend as BackendName }),
});

const echo: SessionHandlers = {
  onReceive(session, data) {
    if (options.plant === 'leak') leaked.push(Buffer.alloc(LEAK * data.length));
    if (options.plant === 'death' && ++received === FATAL) process.kill(process.pid, 'SIGKILL');
    if (options.plant === 'byte') data[0]! ^= 1;
    if (!session.send(data)) session.pause();
  },
  onDrain: (session) => session.resume(),
};

const frames = framed(lengthPrefixed({ maxFrameLength: MOST_FRAME }), {
  onPacket(session, frame) {
    if (!session.sendPacket(frame)) session.pause();
  },
  onDrain: (session) => session.resume(),
});

const crowd: SessionHandlers = { onConnected: (session) => session.join('crowd') };

const { backlog, sendBufferSize } = options;
const where = {
  host: '127.0.0.1',
  ...(backlog !== undefined && { backlog }),
  ...(sendBufferSize !== undefined && { sendBufferSize }),
};
const limits = options.timeouts ? { timeouts: options.timeouts } : {};
const listen = (more: Pick<ListenOptions & SessionOptions, 'port' | 'session'>) =>
  Listener.listen(core, { ...where, ...limits, ...more });
const shared = new URL('./shared-echo.js', import.meta.url);
const port = options.port ?? 0;
const listeners = {
  echo: options.shared
    ? await Listener.listen(core, { ...where, port, shared, queueLimit: { perSession: MOST_QUEUED } })
    : await listen({ port, session: echo }),
  frames: await listen({ port: 0, session: frames }),
  crowd: await listen({ port: 0, session: crowd }),
};

let broadcasts = 0;
const broadcasting = setInterval(() => {
  const body = message(broadcasts, 1 + ((broadcasts * 997) % 4096));
  const header = Buffer.alloc(8);
  header.writeUInt32LE(broadcasts++, 0);
  header.writeUInt32LE(body.length, 4);
  broadcast(core, Buffer.concat([header, body]), 'crowd');
}, BROADCAST_EVERY);

const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
delay.enable();
const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION);

function sample(): Sample {
  const { sessions, bytesQueued, events, receiveBuffers, sendBuffers, timers, accepted, bytesReceived, timedOut } =
    core.stats().total;
  const { rss, heapUsed, external } = process.memoryUsage();
  const delayP99 = late(delay.percentile(99));
  const delayMax = late(delay.max);
  delay.reset();
  return {
    rss,
    heap: heapUsed,
    external,
    descriptors: descriptors(),
    sessions,
    events,
    receiveBuffers,
    sendBuffers,
    bytesQueued,
    timers,
    delayP99,
    delayMax,
    accepted: options.shared ? accepted + listeners.echo.stats.accepted : accepted,
    bytesReceived,
    timedOut,
    signals,
  };
}

function descriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}

async function stop(): Promise<void> {
  clearInterval(broadcasting);
  await core.stop();
  delay.disable();
  process.disconnect();
}

function tell(what: FromServer): void {
  process.send!(what);
}

process.on('message', (wish: ToServer) => {
  if (wish === 'sample') tell({ sample: sample() });
  else void stop();
});
// Whoever started this is gone.
process.on('disconnect', () => process.exit());

const { echo: e, frames: f, crowd: c } = listeners;
tell({
  backend: core.backend,
  candidates: candidates(),
  ports: { echo: e.endpoint.port, frames: f.endpoint.port, crowd: c.endpoint.port },
});
