// A port for a test that must know it before anybody listens there.

import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that is free, outside of those that the system gives out by itself: so nobody gets it meanwhile by chance. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
