// The http servers that are measured, each for a moment. Nothing here judges how fast anything is.

import { expect, test } from 'vitest';
import { requests } from '../src/load/cannon.js';
import { agents } from '../src/measured/agent.js';
import { withServers } from '../src/measured/server.js';
import { takeTurns } from '../src/measuring/rounds.js';

test('http over sessions and http as it is answer all requests', { timeout: 180_000 }, async () => {
  await withServers(agents(['http-sessions', 'http-net'], 'http'), async (servers) => {
    expect(servers.map(({ by }) => by)).toEqual([expect.any(String), 'node:net']);
    for (const path of ['/', '/page']) {
      for (const { samples } of await takeTurns(servers, 1, requests(path, 5, 0.2), 0)) {
        expect(samples.map(({ rate, cpu }) => [rate > 0, cpu > 0])).toEqual([[true, true]]);
      }
    }
  });
});
