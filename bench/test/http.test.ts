// The http servers that are measured, each for a moment. Nothing here judges how fast anything is.

import { expect, test } from 'vitest';
import { agents } from '../src/agent.js';
import { requests } from '../src/cannon.js';
import { takeTurns } from '../src/rounds.js';
import { withServers } from '../src/server.js';

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
