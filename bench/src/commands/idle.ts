// The command: resident memory of a server for each connection that is open and idle.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Agent, agents } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { idleMemory } from '../measuring/measures.js';
import { number, verdict } from '../measuring/report.js';

const { values } = parseArgs({ options: { connections: { type: 'string', default: '10000' } } });
const count = Number(values.connections);

/** The most bytes, by program; none for the rival. */
const targets = [1000, 700];
/** Connections that are there before: the threads of the shared port have grown their heaps by then. */
const beside = [0, Math.ceil(count / 2)];

const starts = [
  ...agents(['overlapped'], 'echo'),
  () => Agent.start('shared', 'asked', availableParallelism()),
  ...agents(['node-net'], 'echo'),
];
await withServers(starts, async (servers) => {
  console.log(`resident bytes of the server for each of ${number(count)} idle connections\n`);
  for (const [i, server] of servers.entries()) {
    const bytes = await idleMemory(server, count, beside[i]);
    const most = targets[i];
    const target = most === undefined ? '' : verdict(bytes, { kind: '<=', ratio: most });
    console.log(server.by.padEnd(16) + number(bytes).padStart(8) + target);
  }
});
