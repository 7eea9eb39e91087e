// The command: what one says to a thousand, against the loop that one writes with node:net.

import { parseArgs } from 'node:util';
import { agents } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { underLoad } from '../measuring/measures.js';
import { atLeast, cpu, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, seconds: { type: 'string', default: '1' } },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const MEMBERS = 1000;

await withServers(agents(['overlapped', 'node-net'], 'crowd'), async (servers) => {
  console.log(`64 bytes to ${MEMBERS} sessions; the next when all have them; ${rounds} rounds of ${seconds} s\n`);
  const figures = [rate('deliveries', { 'node:net': atLeast(2) }), cpu('delivery')];
  const crowd = await takeTurns(servers, rounds, underLoad('crowd', MEMBERS, seconds));
  console.log(report('one speaks', crowd, figures));
  const choir = await takeTurns(servers, rounds, underLoad('choir', MEMBERS, seconds));
  console.log(report('ten speak at once', choir, figures));
});
