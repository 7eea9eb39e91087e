// The shared port with real sockets: which threads serve, in which order, and how many at a time.

import { describe, expect, test } from 'vitest';
import { available, connect, serveShared } from './support.js';

// Elsewhere the core's own thread serves such sessions: local.test.ts.
describe.runIf(available)('sessions on a shared port', () => {
  test('twice as many threads as the concurrency wait when listen() has resolved', async () => {
    const { listener } = await serveShared('echo', { concurrency: 3 });
    expect(listener.threads).toBe(6);
  });

  test('a session gets its bytes, and its answer arrives', async () => {
    const { port } = await serveShared('echo');
    const [client] = await connect(port, 1);
    expect(await client!.ask('hello')).toBe('hello');
  });
});
