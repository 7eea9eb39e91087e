// The command: resident memory of a server for each connection that is open and idle.

import { parseArgs } from 'node:util';
import { agents } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { idleMemory } from '../measuring/measures.js';
import { number, verdict } from '../measuring/report.js';

const { values } = parseArgs({ options: { connections: { type: 'string', default: '10000' } } });
const count = Number(values.connections);

await withServers(agents(['overlapped', 'node-net'], 'echo'), async (servers) => {
  console.log(`resident bytes of the server for each of ${number(count)} idle connections\n`);
  for (const [i, server] of servers.entries()) {
    const bytes = await idleMemory(server, count);
    const target = i === 0 ? verdict(bytes, { kind: '<=', ratio: 1000 }) : '';
    console.log(server.by.padEnd(12) + number(bytes).padStart(8) + target);
  }
});
