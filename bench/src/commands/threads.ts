// The command: what a second worker adds when the sessions have work to do.

import { parseArgs } from 'node:util';
import { Agent } from '../measured/agent.js';
import { withServers } from '../measured/server.js';
import { underLoad } from '../measuring/measures.js';
import { atLeast, cpu, rate, report } from '../measuring/report.js';
import { takeTurns } from '../measuring/rounds.js';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, seconds: { type: 'string', default: '1' } },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

/** Few, so that the clients leave the cores to the workers, but each worker has some. */
const CONNECTIONS = 8;

const starts = [2, 1].map((threads) => () => Agent.start('dedicated', 'burn', threads));
await withServers(starts, async (servers) => {
  console.log(`200 us of work for each message; two workers against one; ${rounds} rounds of ${seconds} s\n`);
  const series = await takeTurns(servers, rounds, underLoad('echo', CONNECTIONS, seconds));
  const targets = { [servers[1]!.by]: atLeast(1.7) };
  console.log(report(`${CONNECTIONS} connections`, series, [rate('messages', targets), cpu('message')]));
});
