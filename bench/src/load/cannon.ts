// Load on an HTTP server: autocannon, in a process of its own.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from '../measured/server.js';
import type { Sample } from '../measuring/rounds.js';
import { pathOf } from '../paths.js';
import type { Volley } from './cannon-process.js';

const PROCESS = pathOf('dist/load/cannon-process.js');
/** Seconds that it may take beyond its time. */
const GRACE = 60;

/** Requests that a server answers while the clients ask for as many as they can. */
export function requests(path: string, connections: number, seconds: number): (server: Server) => Promise<Sample> {
  return async (server) => {
    const before = await server.cpu();
    const volley = await fire(
      [`http://127.0.0.1:${server.port}${path}`, String(connections), String(seconds)],
      seconds,
    );
    const after = await server.cpu();
    return {
      rate: volley.requests / volley.seconds,
      cpu: (after - before) / volley.requests,
      clientBusy: volley.cpuSeconds / volley.seconds,
    };
  };
}

async function fire(args: string[], seconds: number): Promise<Volley> {
  const child = fork(PROCESS, args, { timeout: (seconds + GRACE) * 1000 });
  const exit = once(child, 'exit');
  const failed = exit.then(([code, signal]) => Promise.reject(new Error(`autocannon failed (${signal ?? code})`)));
  const [volley] = await Promise.race([once(child, 'message'), failed]);
  await exit;
  return volley as Volley;
}
